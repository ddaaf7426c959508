"""Runs steps of training and updates of refining with a clock around their parts."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from ..encoder.inversion import invert
from ..encoder.refine import RefineConfig, refine
from ..training.config import JointConfig
from ..training.encoders.config import TrainConfig, TrainingPrecision
from ..training.encoders.run import train
from ..training.encoders.trainer import Trainer
from ..training.portraits import PortraitSet
from ..training.trainer import JointTrainer
from ..weights.load import load_encoder, load_generator
from .people import crop_of, made_up
from .profile_table import Profile, ProfiledJob
from .regions import row_names, watched
from .self_time import REST, SelfTime

KINDS = ("photo alone", "mirror", "novel view", "whole picture")
"""What train-tiny's steps look at, in turn."""


@dataclass(frozen=True)
class Run:
    """What a job needs: where people come from, how many steps count, a folder to write in, the clock."""

    people_file: Path | None
    steps: int
    quick: bool
    folder: Path
    clock: SelfTime
    precision: TrainingPrecision

    def people(self) -> PortraitSet:
        """From the file, or made up."""
        if self.people_file is not None:
            return PortraitSet.load(self.people_file)
        return made_up(load_generator("tiny", "cpu"), 6 if self.quick else 24)

    def count(self, kinds: int) -> int:
        """Measured steps: whole rounds of all kinds."""
        return kinds if self.quick else -(-self.steps // kinds) * kinds


Steps = list[tuple[str, Mapping[str, float]]]
"""Of each measured step its kind and its seconds by row."""


def profile(
    job: ProfiledJob,
    *,
    people: str = "",
    steps: int = 16,
    quick: bool = False,
    precision: TrainingPrecision = "float32",
) -> Profile:
    """One job in this process; see `ProfileOptions`."""
    torch.manual_seed(0)
    clock = SelfTime()
    with watched(clock), tempfile.TemporaryDirectory() as folder:
        run = Run(Path(people) if people else None, steps, quick, Path(folder), clock, precision)
        return _summary(job, _JOBS[job](run))


def _summary(job: ProfiledJob, found: Steps) -> Profile:
    mean = {name: 1e3 * statistics.fmean(step.get(name, 0.0) for _, step in found) for name in [*row_names(), REST]}
    kinds: dict[str, list[float]] = {}
    for kind, step in found:
        kinds.setdefault(kind, []).append(1e3 * sum(step.values()))
    of_kinds = {kind: statistics.fmean(took) for kind, took in kinds.items() if kind}
    return Profile(job, len(found), {name: took for name, took in mean.items() if took}, of_kinds)


def _train_tiny(run: Run) -> Steps:
    people = run.folder / "people.safetensors"
    run.people().save(people)
    half = 1 if run.quick else 2
    trainer = JointTrainer(
        JointConfig(people, run.folder, init="tiny", precision=run.precision, own_batch=half, encoder_batch=half)
    )
    trainer.first_latents()
    warm_up = 0 if run.quick else len(KINDS)
    found: Steps = []
    for _ in range(warm_up + run.count(len(KINDS))):
        kind = KINDS[trainer.step % len(KINDS)]
        run.clock.begin()
        trainer.train_step()
        found.append((kind, run.clock.end()))
        run.clock.forget()
    return found[warm_up:]


def _train(run: Run) -> Steps:
    settings: dict[str, Any] = {**vars(TrainConfig.tiny_cpu()), "output": run.folder / "run", "validation_rendered": 1}
    settings["precision"] = run.precision
    if run.quick:
        settings |= {"size": "smallest", "batch": 1, "n_iters": 1, "latent_avg_samples": 10}
    step, found = Trainer._step, Steps()

    def measured(trainer: Trainer, parts: Any) -> None:
        run.clock.begin()
        step(trainer, parts)
        found.append(("", run.clock.end()))
        run.clock.forget()

    with patch.object(Trainer, "_step", measured):
        train(TrainConfig(**{**settings, "steps": 1 + run.count(1) + 1}), lambda line: None)
    return found[1:-1]  # without warming up, and without the last, which also makes a picture


def _refine(run: Run) -> Steps:
    generator = load_generator("tiny", "cpu", run.precision)
    crop = crop_of(run.people(), 0)
    inversion = invert(load_encoder("tiny", generator), generator, crop.image, crop.camera, 1)
    warm_up = 1 if run.quick else 8  # planes and weights are tuned by then
    found: Steps = []

    def between(state: object) -> None:
        if run.clock.running:  # what was rendered for the next update has its backward pass there, so keep its numbers
            found.append(("", run.clock.end()))
        run.clock.begin()

    refine(generator, inversion, crop, RefineConfig(steps=warm_up + run.count(4)), on_progress=between)
    return found[warm_up:]


_JOBS: dict[ProfiledJob, Callable[[Run], Steps]] = {"train-tiny": _train_tiny, "train": _train, "refine": _refine}
