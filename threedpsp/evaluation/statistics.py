"""Means over photos with 95 % bootstrap intervals, and paired differences of two methods on the same photos."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

RESAMPLES = 2000
COVERAGE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` photos; low, high: ends of its 95 % interval. All three are None where count is 0."""

    mean: float | None
    low: float | None
    high: float | None
    count: int

    def to_dict(self) -> dict[str, float | int | None]:
        """JSON-able."""
        return asdict(self)


def estimate(values: Sequence[float], seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Mean and percentile bootstrap interval (photos drawn with replacement; the seed makes it repeatable).

    Values that are not numbers (nothing measured on that photo) are left out.
    """
    known = np.array([value for value in values if math.isfinite(value)], dtype=np.float64)
    n = len(known)
    if n == 0:
        return Estimate(None, None, None, 0)
    drawn = np.random.default_rng(seed).integers(0, n, size=(resamples, n))
    low, high = np.quantile(known[drawn].mean(1), [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Estimate(float(known.mean()), float(low), float(high), n)


def paired_difference(values: Mapping[str, float], base: Mapping[str, float], seed: int = 0) -> Estimate:
    """Mean of `values` - `base` over the photos (keys) that have both, with its interval (pairs are drawn)."""
    return estimate([values[photo] - base[photo] for photo in values if photo in base], seed)
