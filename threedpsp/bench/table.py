"""Results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from .compare import Result

HEAD = (
    "| job | threads | published, s | tuned allocator, s | ours, s | times faster | published, MB | ours, MB |\n"
    "|---|---|---|---|---|---|---|---|"
)


def markdown(results: Sequence[Result]) -> str:
    """A table, one row a result."""
    return "\n".join([HEAD, *map(_row, results)])


def _row(result: Result) -> str:
    cells = (
        " ".join([result.job, *(f"{key} {value}" for key, value in result.sizes.items())]),
        result.threads,
        f"{result.reference_s:.3f}",
        f"{result.reference_tuned_s:.3f}",
        f"{result.ours_s:.3f}",
        f"{result.ratio:.2f}",
        f"{result.reference_mb:.0f}",
        f"{result.peak_mb:.0f}",
    )
    return f"| {' | '.join(map(str, cells))} |"
