"""Every method learns: its loss falls, and what it publishes loads as the inversion commands load it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from tests.core.training_runs import Portraits, small_config
from threedpsp.training.encoders.run import train
from threedpsp.weights.load import load_generator, load_inverter

METHODS = ("3dpsp", "psp", "e4e", "triplanenet-v1", "triplanenet-v2")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_and_publishes(method: str, tmp_path: Path):
    start = 0 if method.startswith("triplanenet") else 4  # so that both its networks look ahead in the same steps
    config = small_config(
        tmp_path, method=method, steps=16, batch=1, photos=Path("one"), stage_start=start, stage_every=2,
        validate_every=8, save_every=8, panels_every=16, seed=1, learning_rate=1e-2,
    )  # fmt: skip
    lines: list[str] = []
    result = train(config, lines.append, lambda _: Portraits(1))
    with open(config.output / "steps.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 17))
    term = "branch_pixel" if method.startswith("triplanenet") else "pixel"
    losses = [float(row[term]) for row in rows if row[term]]
    assert sum(losses[-3:]) < 0.98 * sum(losses[:3]), losses
    assert any("images/s" in line and "left" in line for line in lines)
    generator = load_generator(config.generator, "cpu")
    network = load_inverter(result.encoder, generator, method=method if method in ("psp", "e4e") else None)
    assert network.method == method
    assert network.generator_fingerprint == generator.fingerprint
    assert torch.isfinite(network.latent_avg).all() and network.latent_avg.abs().sum() > 0
    assert (config.output / "panels" / "step_00000016.png").stat().st_size > 0
    assert len(list((config.output / "checkpoints").iterdir())) == 2
