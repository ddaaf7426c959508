"""`threedpsp train-tiny` by two workers, asked to stop, goes on with one and writes the weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import threedpsp
from tests.core.generated_portraits import generated_portraits

SECONDS = 240


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_stopped_training_goes_on_with_another_number_of_workers(tmp_path: Path) -> None:
    people, run = tmp_path / "people.safetensors", tmp_path / "run"
    generated_portraits(2).save(people)
    command = [sys.executable, "-m", "threedpsp", "train-tiny", str(people), "--init", "tiny", "-o", str(run)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*command, "--workers", "2"], env=one_thread, stderr=subprocess.PIPE, text=True) as training:
        assert training.stderr is not None
        shown = []
        for line in training.stderr:  # the first step is being made
            shown.append(line)
            if "started at step 2800" in line:
                time.sleep(1)
                training.send_signal(signal.SIGTERM)
        assert training.wait(SECONDS) == 130, "".join(shown)
    assert (run / "checkpoint.safetensors").is_file() and not (run / "weights").exists(), "".join(shown)

    more = ["--workers", "1", "--steps", "2803", "--descent-steps", "1"]
    done = subprocess.run([*command, *more], env=one_thread, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "resumed at step 280" in done.stderr
    pipeline = threedpsp.load(run / "weights")
    assert pipeline.generator.config.img_resolution == 256
    assert (run / "weights" / "descent.safetensors").is_file()
