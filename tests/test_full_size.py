"""Official files at full size go through the command line, on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.golden import ROOT, golden_path
from threedpsp.export.latent_file import load_inversion

FRAMES, STEPS = 4, 5


def test_official_files_of_full_size_make_a_video_on_the_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for case in ("inversion_3dpsp.safetensors", "eg3d_ffhq512-128.weights.json", "encoder_3dpsp.weights.json"):
        golden_path(case)
    done = subprocess.run(
        [sys.executable, "-m", "tests.full_size", str(tmp_path), str(FRAMES)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with capsys.disabled():
        print("\n" + next(line for line in done.stdout.splitlines() if line.startswith("full size")))
    results = tmp_path / "out" / "astronaut"
    assert {path.name for path in results.iterdir()} >= {"crop.png", "sheet.png", "turntable.mp4", "latent.safetensors"}
    report = json.loads((results / "report.json").read_text())
    assert len(report["video"]["cameras"]["yaw_degrees"]) == FRAMES
    assert report["info"]["encoder_steps"] == STEPS
    assert {f"step {i}" for i in range(1, STEPS + 1)} == {name for name in report["quality"] if name.startswith("step")}
    import av

    with av.open(str(results / "turntable.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert [frame.shape for frame in frames] == [(512, 512, 3)] * FRAMES
    inversion = load_inversion(results / "latent.safetensors")
    assert [tuple(ws.shape) for ws, _ in inversion.steps] == [(1, 14, 512)] * STEPS
    assert [tuple(image.shape) for _, image in inversion.steps] == [(1, 3, 256, 256)] * STEPS
    assert torch.equal(inversion.latent.ws, inversion.steps[-1][0])
    estimates = [ws for ws, _ in inversion.steps]
    assert all(not torch.equal(one, two) for one, two in zip(estimates, estimates[1:], strict=False))
