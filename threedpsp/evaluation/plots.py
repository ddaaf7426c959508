"""The report's plots, as SVG: distributions, PSNR against identity, identity over yaw."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from ..errors import MissingDependencyError
from .measures import measure_of, yaw_of
from .report import EvaluationReport, column_name

COLOURS = ("#0b6e8f", "#d1495b", "#3d8b37", "#8a5fb5", "#c77c11", "#4d4d4d", "#1aa6a6", "#a63d8f")
MARKERS = "osD^vPX*"
_DISTRIBUTIONS = ("psnr", "st_lpips_vgg", "identity", "identity_arcface")
_NEEDS = "The page's plots need matplotlib, which is not installed. Run: pip install matplotlib"


def plots(report: EvaluationReport) -> dict[str, bytes]:
    """Title -> SVG file, of those that there are figures for.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(_NEEDS) from error
    drawn: dict[str, bytes] = {}
    if not report.columns or not report.measured:
        return drawn
    kinds: dict[str, Callable[[EvaluationReport, Any], bool]] = {
        "Distribution over the photos": _distributions,
        "Identity against PSNR, photo by photo": _scatter,
        "Identity over yaw (bars: 95 % intervals)": _over_yaw,
    }
    with matplotlib.rc_context({"svg.hashsalt": "threedpsp", "font.size": 10, "axes.grid": True, "grid.alpha": 0.25}):
        for title, draw in kinds.items():
            figure = Figure(figsize=(9.6 if draw is _distributions else 5.6, 3.8), layout="constrained")
            if draw(report, figure):
                file = io.BytesIO()
                FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
                drawn[title] = file.getvalue()
    return drawn


def _distributions(report: EvaluationReport, figure: Any) -> bool:
    """A box and the photos' points for each method, for the main measures."""
    names = [name for name in _DISTRIBUTIONS if name in report.figures]
    if not names:
        return False
    labels = [column_name(column, report.columns) for column in report.columns]
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        data = [list(report.values(method, f"{stage}/{name}").values()) for method, stage in report.columns]
        axes.boxplot(data, widths=0.5, showfliers=False, medianprops={"color": "black"})
        for index, values in enumerate(data):
            spread = [index + 1 + 0.3 * ((i * 0.618034) % 1 - 0.5) for i in range(len(values))]
            axes.scatter(spread, values, s=14, alpha=0.6, color=COLOURS[index % len(COLOURS)], linewidths=0)
        axes.set_xticks(range(1, len(labels) + 1), labels, rotation=20 if max(map(len, labels)) > 6 else 0)
        axes.set_title(measure_of(name).heading, fontsize=10)
    return True


def _scatter(report: EvaluationReport, figure: Any) -> bool:
    """One point for each photo and method."""
    identity = _identity(report)
    if identity is None:
        return False
    axes = figure.subplots()
    for index, column in enumerate(report.columns):
        method, stage = column
        closeness, distance = (report.values(method, f"{stage}/{name}") for name in ("psnr", identity))
        photos = [photo for photo in closeness if photo in distance]
        axes.scatter(
            [closeness[photo] for photo in photos],
            [distance[photo] for photo in photos],
            s=22,
            alpha=0.7,
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            linewidths=0,
            label=column_name(column, report.columns),
        )
    axes.set_xlabel(measure_of("psnr").heading)
    axes.set_ylabel(measure_of(identity).heading)
    axes.legend(fontsize=9)
    return True


def _over_yaw(report: EvaluationReport, figure: Any) -> bool:
    """Mean identity at the photo's view and at each angle, with intervals."""
    identity = _identity(report)
    names = [name for name in report.figures if name == identity or name.startswith(f"{identity}_yaw")]
    if identity is None or len(names) < 2:
        return False
    names.sort(key=lambda name: yaw_of(name) or 0.0)
    axes = figure.subplots()
    for index, column in enumerate(report.columns):
        method, stage = column
        known = []
        for name in names:
            e = report.estimates[method, f"{stage}/{name}"]
            if e.mean is not None and e.low is not None and e.high is not None:
                known.append((yaw_of(name) or 0.0, e.mean, e.mean - e.low, e.high - e.mean))
        if not known:
            continue
        yaws, means, below, above = zip(*known, strict=True)
        beside = 0.5 * (index - (len(report.columns) - 1) / 2)  # degrees, so that bars do not hide each other
        axes.errorbar(
            [yaw + beside for yaw in yaws],
            means,
            yerr=[below, above],
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            markersize=5,
            capsize=3,
            label=column_name(column, report.columns),
        )
    axes.set_xticks([yaw_of(name) or 0.0 for name in names], ["photo's view", *(f"±{yaw_of(n):g}°" for n in names[1:])])
    axes.set_ylabel(measure_of(identity).heading)
    axes.legend(fontsize=9)
    return True


def _identity(report: EvaluationReport) -> str | None:
    return next((name for name in ("identity", "identity_arcface") if name in report.figures), None)
