"""What came out: a row for every photo, method and seed; means, intervals, differences; as data, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from torch import Tensor

from ..metrics.set_distance import frechet_distance, kernel_distance
from .measures import Measure, measure_of, place_of, yaw_of
from .statistics import Estimate, estimate, paired_difference

SET_DISTANCES: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], float]]] = {
    "frechet_vgg": ("vgg", frechet_distance),
    "kernel_vgg": ("vgg", kernel_distance),
    "fid": ("inception", partial(frechet_distance, shrink=False)),
    "kid": ("inception", kernel_distance),
}
"""Figures of whole sets: the network whose features are compared, and how."""


@dataclass(frozen=True)
class PhotoScores:
    """One photo by one method and seed: figures by stage/measure, or why there are none.

    features (by network), pictures: by stage, and of the photo itself under "photo"; not part of the written figures.
    """

    photo: str
    method: str
    seed: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    features: dict[str, dict[str, np.ndarray]] = field(default_factory=dict, repr=False)
    pictures: dict[str, tuple[Tensor, ...]] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; what could not be measured is None."""
        figures = {name: value if math.isfinite(value) else None for name, value in self.figures.items()}
        return {
            "photo": self.photo,
            "method": self.method,
            "seed": self.seed,
            "figures": figures,
            "error": self.error,
        }


@dataclass(frozen=True)
class ReportedMethod:
    """A method: its name in the table, what its first file holds, its files (one for each seed), its steps."""

    name: str
    system: str
    files: tuple[str, ...]
    steps: int


@dataclass(frozen=True)
class EvaluationReport:
    """All rows, and what follows from them. Means are over the photos that every method could use."""

    protocol: dict[str, Any]
    methods: tuple[ReportedMethod, ...]
    photos: tuple[PhotoScores, ...]
    seed: int = 0
    shown_yaw: float = 30.0

    @cached_property
    def failed(self) -> dict[str, str]:
        """Photo -> the first thing that went wrong with it."""
        found: dict[str, str] = {}
        for row in self.photos:
            if row.error is not None:
                found.setdefault(row.photo, row.error)
        return found

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """The photos that every method could use."""
        return tuple(dict.fromkeys(row.photo for row in self.photos if row.photo not in self.failed))

    @cached_property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """(method, stage) in order: the columns of the table."""
        seen = dict.fromkeys((row.method, name.split("/")[0]) for row in self.photos for name in row.figures)
        order = {method.name: index for index, method in enumerate(self.methods)}
        return tuple(sorted(seen, key=lambda column: (order[column[0]], column[1])))

    def values(self, method: str, figure: str, seed: int | None = None) -> dict[str, float]:
        """Photo -> figure, averaged over the seeds (or of one); photos where it could not be measured are left out."""
        return self._table.get((method, figure, seed), {})

    @cached_property
    def _table(self) -> dict[tuple[str, str, int | None], dict[str, float]]:
        gathered: dict[tuple[str, str, int | None], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for row in self.photos:
            if row.photo in self.failed:
                continue
            for figure, value in row.figures.items():
                if math.isfinite(value):
                    gathered[row.method, figure, None][row.photo].append(value)
                    gathered[row.method, figure, row.seed][row.photo].append(value)
        return {
            key: {photo: statistics.fmean(values) for photo, values in by_photo.items()}
            for key, by_photo in gathered.items()
        }

    @cached_property
    def figures(self) -> tuple[str, ...]:
        """Names of all measures, without stages: in the order of `MEASURES`, each at growing angles."""
        names = dict.fromkeys(name.split("/")[1] for row in self.photos for name in row.figures)
        return tuple(sorted(names, key=lambda name: (place_of(name), yaw_of(name) or 0.0)))

    @cached_property
    def estimates(self) -> dict[tuple[str, str], Estimate]:
        """(method, stage/measure) -> mean and interval over the photos."""
        keys = [(m, f"{s}/{figure}") for m, s in self.columns for figure in self.figures]
        return {key: estimate(list(self.values(*key).values()), self.seed) for key in keys}

    @cached_property
    def differences(self) -> dict[tuple[str, str], Estimate]:
        """(method, stage/measure) -> that method minus the first column, on the same photos, with its interval."""
        found: dict[tuple[str, str], Estimate] = {}
        for method, stage in self.columns[1:]:
            first, base_stage = self.columns[0]
            for figure in self.figures:
                base = self.values(first, f"{base_stage}/{figure}")
                found[method, f"{stage}/{figure}"] = paired_difference(
                    self.values(method, f"{stage}/{figure}"), base, self.seed
                )
        return found

    @cached_property
    def sets(self) -> dict[tuple[str, str], dict[int, float]]:
        """(method, stage/measure) -> seed -> distance of the set of renders from the set of photos."""
        found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
        for method, stage in self.columns:
            for seed in sorted({row.seed for row in self.photos if row.method == method}):
                rows = [r for r in self.photos if (r.method, r.seed) == (method, seed) and r.photo not in self.failed]
                rows = [row for row in rows if stage in row.features and "photo" in row.features]
                if len(rows) < 2:
                    continue
                for name, (network, distance) in SET_DISTANCES.items():
                    if all(network in row.features[stage] for row in rows):
                        parts = [np.stack([r.features[part][network] for r in rows]) for part in ("photo", stage)]
                        found[method, f"{stage}/{name}"][seed] = distance(*parts)
        return dict(found)

    def set_mean(self, method: str, figure: str) -> float | None:
        """A set's distance, averaged over the seeds; None where there are too few photos."""
        by_seed = self.sets.get((method, figure), {})
        return statistics.fmean(by_seed.values()) if by_seed else None

    @property
    def means(self) -> dict[str, float | None]:
        """Every mean of the first method, by stage/measure."""
        name = self.methods[0].name
        return {figure: found.mean for (method, figure), found in self.estimates.items() if method == name}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "protocol": self.protocol,
            "measures": {name: vars(measure_of(name)) for name in (*self.figures, *SET_DISTANCES)},
            "photos_measured": len(self.measured),
            "photos_failed": self.failed,
            "methods": [self._method(method) for method in self.methods],
            "means": self.means,
            "photos": [row.to_dict() for row in self.photos],
        }

    def _method(self, method: ReportedMethod) -> dict[str, Any]:
        seeds = sorted({row.seed for row in self.photos if row.method == method.name})
        figures = [figure for name, figure in self.estimates if name == method.name]
        return {
            "name": method.name,
            "system": method.system,
            "files": method.files,
            "steps": method.steps,
            "means": {figure: self.estimates[method.name, figure].to_dict() for figure in figures},
            "minus_first": {f: d.to_dict() for (name, f), d in self.differences.items() if name == method.name},
            "sets": {
                figure: {"mean": self.set_mean(name, figure), "seeds": list(by_seed.values())}
                for (name, figure), by_seed in self.sets.items()
                if name == method.name
            },
            "seeds": [
                {
                    "file": method.files[seed] if seed < len(method.files) else None,
                    "means": {f: _mean(self.values(method.name, f, seed).values()) for f in figures},
                }
                for seed in seeds
            ],
        }

    def to_csv(self) -> str:
        """One row for every photo, method and seed; an empty cell where nothing was measured."""
        names = tuple(dict.fromkeys(name for row in self.photos for name in row.figures))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["photo", "method", "seed", "error", *names])
        for row in self.photos:
            cells = [row.figures.get(name, math.nan) for name in names]
            shown = [repr(cell) if math.isfinite(cell) else "" for cell in cells]
            writer.writerow([row.photo, row.method, row.seed, row.error or "", *shown])
        return text.getvalue()

    def to_markdown(self) -> str:
        """Tables, a row for each measure: the methods' means with intervals, differences, seeds; then the protocol."""
        lines = [f"{len(self.measured)} photos measured, {len(self.failed)} failed; mean [95 % interval].", ""]
        lines += table_lines(self.main_table())
        if len(self.columns) > 1:
            lines += ["", f"Minus {column_name(self.columns[0], self.columns)}, on the same photos:", ""]
            lines += table_lines(self.difference_table())
        seeds = self.seed_table()
        if seeds:
            lines += ["", "Means of each seed:", ""] + table_lines(seeds)
        if self.failed:
            lines += ["", "Failed:", ""] + [f"- {photo}: {error}" for photo, error in self.failed.items()]
        lines += ["", "Protocol:", ""] + [f"- {name}: {value}" for name, value in self.protocol.items()]
        return "\n".join(lines)

    def main_table(self) -> list[list[str]]:
        """Head row, then a row for each measure: mean and interval of each method; the best mean is in **bold**."""
        rows = [["measure", *(column_name(column, self.columns) for column in self.columns)]]
        for figure in self.figures:
            found = [self.estimates[method, f"{stage}/{figure}"] for method, stage in self.columns]
            rows.append([measure_of(figure).heading, *_marked(found, measure_of(figure))])
        for figure in SET_DISTANCES:
            values = [self.set_mean(method, f"{stage}/{figure}") for method, stage in self.columns]
            if any(value is not None for value in values):
                found = [Estimate(value, None, None, len(self.measured)) for value in values]
                heading = f"{measure_of(figure).heading}, {len(self.measured)} photos"
                rows.append([heading, *_marked(found, measure_of(figure))])
        return rows

    def difference_table(self) -> list[list[str]]:
        """Head row, then a row for each measure: each method minus the first; ** where the interval has no zero."""
        rows = [["measure", *(column_name(column, self.columns) for column in self.columns[1:])]]
        for figure in self.figures:
            measure = measure_of(figure)
            found = [self.differences[method, f"{stage}/{figure}"] for method, stage in self.columns[1:]]
            rows.append([measure.heading, *(_difference(value, measure) for value in found)])
        return rows

    def seed_table(self) -> list[list[str]]:
        """Head row, then a row for each measure: each seed's own mean, of the methods that have several."""
        columns = [(column, seed) for column in self.columns for seed in self._several_seeds(column[0])]
        if not columns:
            return []
        rows = [["measure", *(f"{column_name(column, self.columns)}, {seed}" for column, seed in columns)]]
        for figure in self.figures:
            means = [_mean(self.values(m, f"{stage}/{figure}", seed).values()) for (m, stage), seed in columns]
            rows.append([measure_of(figure).heading, *(_number(mean, measure_of(figure).digits) for mean in means)])
        return rows

    def _several_seeds(self, method: str) -> list[int]:
        """A method's seeds; empty where it has only one."""
        seeds = sorted({row.seed for row in self.photos if row.method == method})
        return seeds if len(seeds) > 1 else []


def column_name(column: tuple[str, str], columns: Sequence[tuple[str, str]]) -> str:
    """The method; with its stage where the method has several."""
    method, stage = column
    several = sum(other == method for other, _ in columns) > 1
    return f"{method}, {stage}" if several else method


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as Markdown."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]


def _marked(found: Sequence[Estimate], measure: Measure) -> list[str]:
    """Cells of one row, the best in bold where there is something to compare."""
    means = [value.mean for value in found if value.mean is not None]
    best = None
    if measure.better and len(means) > 1 and max(means) > min(means):
        best = max(means) if measure.better == "higher" else min(means)
    cells = []
    for value in found:
        text = _number(value.mean, measure.digits)
        text = f"**{text}**" if best is not None and value.mean == best else text
        if value.low is not None and value.count > 1:
            text += f" [{_number(value.low, measure.digits)}, {_number(value.high, measure.digits)}]"
        cells.append(text)
    return cells


def _difference(value: Estimate, measure: Measure) -> str:
    if value.mean is None or value.low is None or value.high is None:
        return "-"
    d = measure.digits
    mean = f"{value.mean:+.{d}f}"
    clear = value.count > 1 and (value.low > 0 or value.high < 0)
    return f"{f'**{mean}**' if clear else mean} [{value.low:+.{d}f}, {value.high:+.{d}f}]"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _mean(values: Any) -> float | None:
    found = list(values)
    return statistics.fmean(found) if found else None
