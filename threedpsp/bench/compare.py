"""Runs the sides of a job in alternating fresh processes, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from subprocess import run
from typing import Any

from ..errors import ThreeDPSPError
from .jobs import FRAMES, JobName
from .sides import SIDES, Side, environment

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """Medians over the rounds; the turntable's are seconds a frame."""

    job: JobName
    threads: int
    reference_s: float
    """As published, default environment."""
    reference_tuned_s: float
    """As published, with the tuned allocator."""
    ours_s: float
    reference_mb: float
    """Peak memory of the process, as published."""
    peak_mb: float
    """Peak memory of the process, ours."""
    rounds: int
    sizes: Mapping[str, int] = field(default_factory=dict)
    """What was not as usual: fields of `Task`."""

    @property
    def ratio(self) -> float:
        """How many times faster we are."""
        return self.reference_s / self.ours_s

    def to_dict(self) -> dict[str, str | int | float]:
        """As `--json` prints it."""
        values = {k: round(v, 4) if isinstance(v, float) else v for k, v in dataclasses.asdict(self).items()}
        return {**values, "ratio": round(self.ratio, 3)}


def compare(
    job: JobName,
    *,
    threads: int,
    rounds: int,
    repeats: int,
    quick: bool,
    tell: Tell,
    sizes: Mapping[str, int] | None = None,
) -> Result:
    """Times all sides of a job.

    Args:
        job: which.
        threads: of each process.
        rounds: processes of each side, one after another in turn.
        repeats: timed runs in each process.
        quick: small sizes.
        tell: receives a line after each process.
        sizes: fields of `Task` that are not as usual.

    Raises:
        ThreeDPSPError: a process failed.
    """
    sizes = sizes or {}
    frames = sizes.get("frames", FRAMES) if job == "turntable" else 1
    name = " ".join([job, *(f"{key} {value}" for key, value in sizes.items())])
    figures: dict[Side, list[dict[str, float]]] = {side: [] for side in SIDES}
    for index in range(rounds):
        for side in SIDES:
            settings = {"job": job, "published": side != "ours", "quick": quick, "threads": threads, "repeats": repeats}
            found = run_worker(side, {**settings, **sizes}, threads)
            figures[side].append(found)
            tell(f"{name}, {threads} threads, round {index + 1}, {side}: {found['seconds']:.3f} s")

    def median(side: Side, name: str) -> float:
        return statistics.median(found[name] for found in figures[side])

    seconds = {side: median(side, "seconds") / frames for side in SIDES}
    return Result(
        job,
        threads,
        seconds["published"],
        seconds["published_tuned"],
        seconds["ours"],
        median("published", "peak_mb"),
        median("ours", "peak_mb"),
        rounds,
        sizes,
    )


def run_worker(side: Side, settings: Mapping[str, str | int], threads: int) -> dict[str, Any]:
    """The figures of one fresh process."""
    command = [sys.executable, "-m", f"{__package__}.worker", json.dumps(settings)]
    done = run(command, env=environment(side, threads), capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join(done.stderr.splitlines()[-5:])
        raise ThreeDPSPError(f"{settings['job']} ({side}) ended with exit code {done.returncode}:\n{last}")
    return json.loads(done.stdout.splitlines()[-1])
