"""Reading a network as large as the published ones takes little more memory than the network."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.golden import ROOT
from tests.official_files import write_eg3d_pickle
from threedpsp.eg3d.config import GeneratorConfig
from threedpsp.eg3d.generator import Generator

READ = """
import sys
from tests.peak_memory import peak_bytes
from threedpsp.weights.load import load_generator
load_generator(sys.argv[1], "cpu")
print(peak_bytes())
"""


def test_a_pickle_of_430_megabytes_is_read_within_two_and_a_half_times_its_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = dataclasses.replace(GeneratorConfig.ffhq512_128(), channel_base=65536, channel_max=1024, w_dim=768)
    state = {name: torch.zeros(t.shape, dtype=t.dtype) for name, t in _shapes(config).items()}
    path = write_eg3d_pickle(tmp_path / "large.pkl", config, state)
    del state
    size = path.stat().st_size
    assert size > 430e6
    done = subprocess.run([sys.executable, "-c", READ, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout)
    with capsys.disabled():
        print(f"\na pickle of {size / 1e6:.0f} MB is read with a peak of {peak / 1e6:.0f} MB: {peak / size:.2f} times")
    assert peak < 2.5 * size


def _shapes(config: GeneratorConfig) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return dict(Generator(config).state_dict())
