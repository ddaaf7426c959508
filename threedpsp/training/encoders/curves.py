"""Curves of several trainings in one figure, methods side by side, their seeds averaged.

python -m threedpsp.training.encoders.curves RUN [RUN ...] --output curves.png

Each RUN is the folder of a training. Top to bottom: perceptual distance and identity distance of the photo's own view,
as the training measures them on its batches (for 3D-pSp the mean of its ReStyle steps). Left to right: against steps
of the optimizer, and against CPU seconds. Thin lines are the seeds, thick ones their means over the steps that all
have.
"""

from __future__ import annotations

import csv
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from ...errors import InputError, MissingDependencyError
from ...output import atomic_write
from .config import CONFIG_FILE, TrainConfig
from .log import STEPS_FILE

LOSSES = {"perceptual": "Perceptual distance (ST-LPIPS or LPIPS)", "identity": "Identity distance"}
AXES = {"step": "Optimizer steps", "cpu_seconds": "CPU seconds"}

Curves = dict[str, np.ndarray]
"""By column of steps.csv, one number a step."""


@dataclass(frozen=True)
class CurvesFigure:
    """What is drawn, and where to."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of trainings."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("curves.png")
    """The figure: .png or .svg."""
    smooth: int = 50
    """Steps that a running mean is taken over."""


def read_runs(folders: Sequence[Path]) -> dict[str, list[Curves]]:
    """The curves of each method, one for each of its runs.

    Raises:
        InputError: a folder is not that of a training, or it has no step yet.
    """
    methods: dict[str, list[Curves]] = defaultdict(list)
    for folder in folders:
        try:
            config = TrainConfig.from_json((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            with (folder / STEPS_FILE).open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
        except OSError as error:
            raise InputError(f"{folder} is not the folder of a training ({error}).") from error
        if not rows:
            raise InputError(f"{folder} has no training step yet.")
        methods[config.method].append({name: np.array([float(row[name]) for row in rows]) for name in (*AXES, *LOSSES)})
    return dict(methods)


def smoothed(values: np.ndarray, steps: int) -> np.ndarray:
    """Running mean of the values [N] over the last `steps` ones, or all there are."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - steps)
    return (sums[ends] - sums[starts]) / (ends - starts)


def draw(methods: Mapping[str, Sequence[Curves]], smooth: int) -> Any:
    """A matplotlib Figure.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("Curves need matplotlib, which is missing. Run: pip install matplotlib") from error
    figure = Figure(figsize=(9.0, 6.4), layout="constrained")
    axes = figure.subplots(len(LOSSES), len(AXES), sharey="row", squeeze=False)
    for row, (loss, title) in enumerate(LOSSES.items()):
        for column, (axis, label) in enumerate(AXES.items()):
            plot = axes[row, column]
            for number, (method, runs) in enumerate(methods.items()):
                common = min(len(run[loss]) for run in runs)
                curves = [smoothed(run[loss], smooth) for run in runs]
                for run, curve in zip(runs, curves, strict=True):
                    plot.plot(run[axis], curve, color=f"C{number}", alpha=0.3, linewidth=0.8)
                mean = np.mean([curve[:common] for curve in curves], axis=0)
                along = np.mean([run[axis][:common] for run in runs], axis=0)
                plot.plot(along, mean, color=f"C{number}", linewidth=2, label=f"{method}, n = {len(runs)}")
            plot.grid(alpha=0.25)
            plot.set(xlabel=label if row == len(LOSSES) - 1 else None, ylabel=None if column else title)
    axes[0, -1].legend()
    return figure


def main(request: CurvesFigure) -> None:
    """Draw, and write the file whole or not at all."""
    figure = draw(read_runs(request.runs), request.smooth)
    with atomic_write(request.output) as unfinished:
        figure.savefig(unfinished, dpi=150, format=request.output.suffix[1:])
    logging.getLogger(__name__).info("curves: %s", request.output)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(tyro.cli(CurvesFigure, description=__doc__))
