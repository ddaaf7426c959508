"""How the times grow with resolution, samples, frames and batch: what is run, and its picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import MissingDependencyError
from ..output import atomic_write
from .compare import Result
from .jobs import JobName

SERIES: dict[str, tuple[JobName, tuple[int, ...]]] = {
    "resolution": ("render", (32, 64, 128, 256)),
    "samples": ("render", (12, 24, 48, 96)),
    "frames": ("turntable", (1, 2, 4, 8)),
    "batch": ("synthesis", (1, 2, 4)),
}
"""What grows: the job that is timed, and the values."""
LABELS = {
    "resolution": "rays a side",
    "samples": "coarse and as many fine samples a ray",
    "frames": "frames of a turntable",
    "batch": "heads in a batch",
}
SIDES = (("reference_s", "as published"), ("reference_tuned_s", "with tuned allocator"), ("ours_s", "ours"))


def jobs() -> Iterator[tuple[JobName, dict[str, int]]]:
    """Each job with what is not as usual in it."""
    for size, (job, values) in SERIES.items():
        for value in values:
            yield job, {size: value}


def draw(results: Sequence[Result], path: Path) -> None:
    """One panel for each thing that grows, seconds of each side, both axes logarithmic; written whole or not at all.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with atomic_write(path) as unfinished:
        _figure(results).savefig(unfinished, dpi=150, format=path.suffix[1:])


def _figure(results: Sequence[Result]) -> Any:
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
    except ImportError as error:
        raise MissingDependencyError("The plot needs matplotlib. Install it with: pip install matplotlib") from error
    figure = Figure(figsize=(11.0, 3.4), layout="constrained")
    panels = figure.subplots(1, len(SERIES), squeeze=False)[0]
    for panel, (size, (job, values)) in zip(panels, SERIES.items(), strict=True):
        found = [r for r in results if size in r.sizes]
        for column, label in SIDES:
            # a turntable's figures are of one frame; what a user waits for is all of them
            seconds = [float(r.to_dict()[column]) * r.sizes.get("frames", 1) for r in found]
            panel.plot([r.sizes[size] for r in found], seconds, marker="o", label=label)
        panel.set(xscale="log", yscale="log", xlabel=LABELS[size], title=job)
        panel.set_xticks(values, [str(v) for v in values])
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.grid(alpha=0.25, which="both")
    panels[0].set_ylabel("seconds")
    panels[-1].legend(fontsize="small", loc="lower right")
    return figure
