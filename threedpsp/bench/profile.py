"""`python -m threedpsp.bench profile`: where a step of training and an update of refining spend their time."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from ..encoder.inversion import invert
from ..encoder.refine import RefineConfig, refine
from ..errors import InputError
from ..training.config import JointConfig
from ..training.encoders.config import TrainConfig
from ..training.encoders.run import train
from ..training.encoders.trainer import Trainer
from ..training.portraits import PortraitSet
from ..training.trainer import JointTrainer
from ..weights.load import load_encoder, load_generator
from .people import crop_of, made_up
from .regions import row_names, watched
from .self_time import REST, SelfTime

ProfiledJob = Literal["train-tiny", "train", "refine"]
KINDS = 4  # of steps that train-tiny takes in turn
KIND_NAMES = ("photo alone", "mirror", "novel view", "whole picture")


@dataclass(frozen=True)
class ProfileOptions:
    """Shows where a training step or an update of refining spends its time, in this process, on one thread.

    Times are of the processor, so that other programs hardly disturb them; each row is without what the rows inside it
    took. "limit" is how many times faster the whole would be if the row cost nothing.
    """

    job: tyro.conf.Positional[ProfiledJob | Literal["all"]] = "all"
    """train-tiny: a step of its last stage, four kinds in turn. train: of `threedpsp train tiny_cpu`. refine: an update
    of the embedded model."""
    people: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Portraits that `python -m threedpsp.training.portraits` wrote; default: heads that the embedded generator makes
    up."""
    steps: int = 16
    """Measured steps of each job, after as many to warm up as there are kinds of them."""
    quick: bool = False
    """A few steps of small batches: only to see that it works."""
    json: bool = False
    """Print each job as one line of JSON."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"--steps must be at least 1; got {self.steps}.")

    @property
    def jobs(self) -> tuple[ProfiledJob, ...]:
        """What is profiled."""
        return tuple(_MAKERS) if self.job == "all" else (self.job,)


@dataclass(frozen=True)
class Profile:
    """A job's mean processor time, milliseconds a step: by row, and of each kind of step as a whole."""

    job: ProfiledJob
    steps: int
    rows: Mapping[str, float]
    kinds: Mapping[str, float]

    @property
    def whole(self) -> float:
        """Milliseconds of a step."""
        return sum(self.rows.values())

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        rounded = {name: {k: round(v, 3) for k, v in vars(self)[name].items()} for name in ("rows", "kinds")}
        return {"job": self.job, "steps": self.steps, "whole": round(self.whole, 3), **rounded}

    def markdown(self) -> str:
        """A table, rows in the order in which a step goes through them."""
        lines = [f"| `{self.job}` | ms | share | limit |", "|---|---|---|---|"]
        for name, took in self.rows.items():
            share = took / self.whole
            lines.append(f"| {name} | {took:.1f} | {100 * share:.1f} % | {1 / (1 - share):.2f} |")
        kinds = "".join(f"; {name} {took:.0f}" for name, took in self.kinds.items())
        lines.append(f"| a step, mean of {self.steps}{kinds} | {self.whole:.1f} | 100 % | |")
        return "\n".join(lines)


Steps = list[tuple[str, dict[str, float]]]
"""Of each measured step its kind and its seconds by row."""


def profile(job: ProfiledJob, options: ProfileOptions) -> Profile:
    """One job, measured."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        clock = SelfTime()
        with watched(clock), tempfile.TemporaryDirectory() as folder:
            found = _MAKERS[job](clock, options, Path(folder))
    finally:
        torch.set_num_threads(threads)
    return _summary(job, found)


def _summary(job: ProfiledJob, found: Steps) -> Profile:
    mean = {name: 1e3 * statistics.fmean(step.get(name, 0.0) for _, step in found) for name in [*row_names(), REST]}
    kinds: dict[str, list[float]] = {}
    for kind, step in found:
        kinds.setdefault(kind, []).append(1e3 * sum(step.values()))
    of_kinds = {kind: statistics.fmean(took) for kind, took in kinds.items() if kind}
    return Profile(job, len(found), {name: took for name, took in mean.items() if took}, of_kinds)


def _people(options: ProfileOptions) -> PortraitSet:
    if options.people is not None:
        return PortraitSet.load(options.people)
    return made_up(load_generator("tiny", "cpu"), 6 if options.quick else 24)


def _train_tiny(clock: SelfTime, options: ProfileOptions, folder: Path) -> Steps:
    people, held_out = _people(options), 2
    people.save(folder / "people.safetensors")
    config = JointConfig(folder / "people.safetensors", folder, held_out=held_out, batch=1 if options.quick else 2)
    trainer = JointTrainer(config)
    _start_trained(trainer)
    trainer.step = config.handover_end + KINDS - config.handover_end % KINDS
    found: Steps = []
    for index in range((0 if options.quick else KINDS) + _count(options, KINDS)):
        kind = KIND_NAMES[trainer.step % KINDS]
        clock.begin()
        trainer.train_step()
        took = clock.end()
        clock.forget()
        if options.quick or index >= KINDS:
            found.append((kind, took))
    return found


def _start_trained(trainer: JointTrainer) -> None:
    """The embedded weights, where they fit: heads with surfaces, as most of a training sees them."""
    generator = load_generator("tiny", "cpu")
    if generator.config != trainer.generator.config:
        return
    networks = {trainer.generator: generator, trainer.generator_ema: generator}
    encoder = load_encoder("tiny", generator)
    if encoder.config == trainer.encoder.config:
        networks |= {trainer.encoder: encoder, trainer.encoder_ema: encoder}
        trainer.encoder.latent_avg.copy_(encoder.latent_avg)
    for network, trained in networks.items():
        network.load_state_dict(trained.state_dict())


def _train(clock: SelfTime, options: ProfileOptions, folder: Path) -> Steps:
    steps = 1 + _count(options, 1)
    settings = {**vars(TrainConfig.tiny_cpu()), "output": folder / "run", "steps": steps, "validation_rendered": 1}
    if options.quick:
        settings |= {"size": "smallest", "batch": 1, "n_iters": 1, "latent_avg_samples": 10}
    found: Steps = []
    step = Trainer._step

    def measured(trainer: Trainer, parts: Any) -> None:
        clock.begin()
        step(trainer, parts)
        found.append(("", clock.end()))
        clock.forget()

    Trainer._step = measured  # type: ignore[method-assign]
    try:
        train(TrainConfig(**settings), lambda line: None)
    finally:
        Trainer._step = step  # type: ignore[method-assign]
    return found[1:]


def _refine(clock: SelfTime, options: ProfileOptions, folder: Path) -> Steps:
    generator = load_generator("tiny", "cpu")
    crop = crop_of(_people(options), 0)
    inversion = invert(load_encoder("tiny", generator), generator, crop.image, crop.camera, 1)
    found: Steps = []

    def between(state: object) -> None:
        if clock.running:
            found.append(("", clock.end()))  # what was rendered for the next update has its backward pass there
        clock.begin()

    warm_up = 2 if options.quick else 8
    refine(generator, inversion, crop, RefineConfig(steps=warm_up + _count(options, 4)), on_progress=between)
    return found[warm_up:]


def _count(options: ProfileOptions, kinds: int) -> int:
    """Measured steps: whole rounds of all kinds."""
    return kinds if options.quick else -(-options.steps // kinds) * kinds


_MAKERS: dict[ProfiledJob, Callable[[SelfTime, ProfileOptions, Path], Steps]] = {
    "train-tiny": _train_tiny,
    "train": _train,
    "refine": _refine,
}

