"""The command `python -m threedpsp.bench profile`: its options, and the table that it prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tyro

from ..errors import InputError
from ..training.encoders.config import TrainingPrecision
from .compare import run_worker

ProfiledJob = Literal["train-tiny", "train", "refine"]


@dataclass(frozen=True)
class ProfileOptions:
    """Shows where a training step or an update of refining spends its time, each job in a fresh process on one thread.

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
    """Measured steps of each job, after some to warm up; whole rounds of train-tiny's four kinds."""
    quick: bool = False
    """A few steps of small batches: only to see that it works."""
    precision: TrainingPrecision = "float32"
    """What networks compute with."""
    json: bool = False
    """Print each job as one line of JSON."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"--steps must be at least 1; got {self.steps}.")

    @property
    def jobs(self) -> tuple[ProfiledJob, ...]:
        """What is profiled."""
        return get_args(ProfiledJob) if self.job == "all" else (self.job,)

    def run(self, job: ProfiledJob) -> Profile:
        """One job, in its own process, in the environment that the command `threedpsp` makes."""
        people = "" if self.people is None else str(self.people.absolute())
        settings: dict[str, Any] = {
            "profile": True,
            "job": job,
            "people": people,
            "steps": self.steps,
            "quick": self.quick,
            "precision": self.precision,
        }
        found = run_worker("ours", {**settings, "threads": 1}, threads=1)
        return Profile(**found)


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
        return {"job": self.job, "steps": self.steps, **rounded}

    def markdown(self) -> str:
        """A table, rows in the order in which a step goes through them."""
        lines = [f"| `{self.job}` | ms | share | limit |", "|---|---|---|---|"]
        for name, took in self.rows.items():
            share = took / self.whole
            lines.append(f"| {name} | {took:.1f} | {100 * share:.1f} % | {1 / (1 - share):.2f} |")
        kinds = "".join(f"; {name} {took:.0f}" for name, took in self.kinds.items())
        lines.append(f"| a step, mean of {self.steps}{kinds} | {self.whole:.1f} | 100 % | |")
        return "\n".join(lines)
