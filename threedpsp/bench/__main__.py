"""`python -m threedpsp.bench JOB`: the published way against ours, side by side; `... profile`: where time goes."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TextIO

import tyro

from ..errors import InputError, ThreeDPSPError
from . import growth
from .compare import compare
from .jobs import JOBS, JobName
from .profile_table import ProfileOptions
from .table import markdown

PROGRAM = "python -m threedpsp.bench"


@dataclass(frozen=True)
class Bench:
    """Times jobs of the model of full size, ffhq512-128 with random weights, in fresh processes that alternate.

    Another command, profile, shows where a training step spends its time: python -m threedpsp.bench profile --help.
    """

    job: tyro.conf.Positional[JobName | Literal["all", "growth"]]
    """What is timed. growth: some jobs with more and more rays, samples, frames and heads."""
    threads: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N [N ...]")] = (2,)
    """Numbers of threads to try."""
    rounds: int = 3
    """Processes of each side."""
    repeats: int = 1
    """Timed runs in each process, after one to warm up."""
    quick: bool = False
    """Small sizes: only to see that it works."""
    plot: Path | None = None
    """Picture of the growth: .png or .svg."""
    json: bool = False
    """Print each result as one line of JSON, the last line being the last job's."""

    def __post_init__(self) -> None:
        if min(self.rounds, self.repeats, *self.threads) < 1:
            raise InputError("rounds, repeats and threads must be at least 1.")
        if self.plot is not None and (self.job != "growth" or self.plot.suffix not in (".png", ".svg")):
            raise InputError("--plot FILE.png or FILE.svg belongs to the job 'growth'.")

    def jobs(self) -> list[tuple[JobName, dict[str, int]]]:
        """What is run: jobs, with what is not as usual in them."""
        if self.job == "growth":
            return list(growth.jobs())
        if self.job == "all":
            return [(job, {}) for job in JOBS]
        return [(self.job, {})]


def main(bench: Bench) -> int:
    """Times what was asked for; results go to stdout, progress to stderr."""
    results = []
    for job, sizes in bench.jobs():
        for threads in bench.threads:
            result = compare(
                job,
                threads=threads,
                rounds=bench.rounds,
                repeats=bench.repeats,
                quick=bench.quick,
                tell=lambda line: _write(sys.stderr, line),
                sizes=sizes,
            )
            results.append(result)
    if bench.plot is not None:
        growth.draw([r for r in results if r.threads == bench.threads[-1]], bench.plot)
    if bench.json:
        for result in results:
            _write(sys.stdout, json.dumps(result.to_dict()))
    else:
        _write(sys.stdout, markdown(results))
    return 0


def show_profiles(options: ProfileOptions) -> int:
    """Profiles what was asked for; results go to stdout."""
    for index, job in enumerate(options.jobs):
        found = options.run(job)
        _write(sys.stdout, json.dumps(found.to_dict()) if options.json else "\n" * (index > 0) + found.markdown())
    return 0


def _write(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["profile"]:
            options = tyro.cli(ProfileOptions, prog=f"{PROGRAM} profile", args=sys.argv[2:])
            sys.exit(show_profiles(options))
        sys.exit(main(tyro.cli(Bench, prog=PROGRAM)))
    except ThreeDPSPError as error:
        _write(sys.stderr, f"error: {error}")
        sys.exit(1)
