"""Small trainings for tests: a random generator, the smallest networks, few steps."""

from __future__ import annotations

import csv
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.core.small_model import save_small_model
from threedpsp.training.encoders.checkpoints import checkpoints, read_state
from threedpsp.training.encoders.config import PRESETS, TrainConfig

ROOT = Path(__file__).resolve().parents[2]
SIDE = 64  # of the small generator's pictures
KILLED: dict[str, Any] = {
    "method": "e4e", "steps": 30, "save_every": 3, "validate_every": 10, "panels_every": 1000, "n_iters": 1,
}  # fmt: skip
"""A training that can be killed in the middle: the method with the most state."""


def small_model(folder: Path) -> Path:
    """The folder of a small random generator, made if it is not there."""
    if not folder.exists():
        folder.mkdir(parents=True)
        save_small_model(folder)
    return folder


def small_config(folder: Path, **settings: Any) -> TrainConfig:
    """A training of milliseconds a step: pixels alone are compared."""
    values: dict[str, Any] = {
        "output": folder / "run",
        "generator": str(small_model(folder / "model")),
        "size": "smallest",
        "device": "cpu",
        "steps": 3,
        "batch": 2,
        "n_iters": 2,
        "workers": 0,
        "learning_rate": 2e-3,
        "latent_avg_samples": 50,
        "validation_rendered": 3,
        "perceptual_weight": 0.0,
        "identity_weight": 0.0,
        "identity": "dlib",
        "perceptual": "st-lpips",
        "log_every": 1,
        "warmup_steps": 0,
        "decay": False,
    }
    return dataclasses.replace(PRESETS["tiny_cpu"], **values | settings)


def flags(config: TrainConfig) -> list[str]:
    """The command line that asks for the small training, without those that the preset has."""
    names = ("output", "generator", "size", "device", "steps", "batch", "n_iters", "workers", "learning_rate")
    names += ("latent_avg_samples", "validation_rendered", "perceptual_weight", "identity_weight", "log_every")
    names += ("identity", "perceptual", "method", "save_every", "validate_every", "batch_norm", "seed", "panels_every")
    names += ("warmup_steps", "stage_start", "stage_every", "keep_last", "ema_decay", "clip_norm")
    chosen = [part for name in names for part in (f"--{name.replace('_', '-')}", str(getattr(config, name)))]
    return [*chosen, "--decay" if config.decay else "--no-decay"]


class Portraits:
    """A stand-in for prepared photos: pictures of a few colours with the frontal camera; some may be at fault.

    faults: number -> what takes the place of an item, or the error that reading it raises.
    """

    def __init__(self, count: int, side: int = SIDE, sigma: bool = True, faults: dict[int, Any] | None = None) -> None:
        self.count = count
        self.side = side
        self.sigma = sigma
        self.faults = faults or {}
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor | None, str]:
        from threedpsp.camera import Camera

        self.read.append(index)
        fault = self.faults.get(index)
        if isinstance(fault, Exception):
            raise fault
        random = torch.Generator().manual_seed(index)
        colours = torch.rand(1, 3, 2, 2, generator=random) * 2 - 1
        image = torch.nn.functional.interpolate(colours, (self.side, self.side), mode="bilinear")[0]
        item = (image, Camera.frontal().label[0], torch.ones(self.side, self.side) if self.sigma else None)
        return (*(fault or item), f"{index:03d}.png")


def losses(config: TrainConfig) -> dict[int, float]:
    """The loss of every step that the log has."""
    with open(config.output / "steps.csv", encoding="utf-8") as file:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file) if row["loss"]}


def command(config: TrainConfig, *launcher: str) -> list[str]:
    """The command line of a training."""
    return [sys.executable, "-m", *launcher, "threedpsp", "train", "tiny_cpu", *flags(config)]


def environment() -> dict[str, str]:
    """One thread, and the checkout on the path."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def kill_at(config: TrainConfig, step: int, seconds: float = 120) -> None:
    """Start a training and kill it (-9) once its log has that step."""
    with subprocess.Popen(command(config), cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL) as run:
        end = time.monotonic() + seconds
        while run.poll() is None and time.monotonic() < end:
            log = config.output / "steps.csv"
            if log.is_file() and len(log.read_text(encoding="utf-8").splitlines()) > step:
                run.send_signal(signal.SIGKILL)
                break
            time.sleep(0.01)


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, the CPU computes with one thread, so that sums have one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def difference(whole: TrainConfig, resumed: TrainConfig) -> float:
    """The largest relative difference of any step's loss and of any tensor of the last checkpoints."""
    expected, found = losses(whole), losses(resumed)
    if list(found) != list(expected):
        raise AssertionError(f"the steps differ: {list(found)} and {list(expected)}")
    worst = [abs(found[step] - expected[step]) / abs(expected[step]) for step in expected]
    one, other = (read_state(checkpoints(config.output)[-1])[0] for config in (whole, resumed))
    if one.keys() != other.keys():
        raise AssertionError("the checkpoints hold other tensors")
    for name, a in one.items():
        worst.append(float((a.double() - other[name].double()).norm() / a.double().norm().clamp_min(1e-12)))
    return max(worst)
