"""Intervals over photos, paired differences, and distances between sets of features."""

from __future__ import annotations

import math

import numpy as np
import pytest

from threedpsp.errors import InputError
from threedpsp.evaluation.statistics import Estimate, estimate, paired_difference
from threedpsp.metrics.set_distance import covariance, frechet_distance, kernel_distance


def normal(n: int, d: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) * scale + shift


def test_interval_is_that_of_the_mean():
    """Of 400 normal numbers the 95 % interval is the mean -+ 1.96 standard errors; the bootstrap differs by a tenth."""
    values = normal(400, 1, 0)[:, 0]
    found = estimate(values.tolist())
    assert found.mean is not None and found.low is not None and found.high is not None
    expected = 1.96 * values.std() / math.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.mean == pytest.approx(expected, rel=0.1)
    assert found.mean - found.low == pytest.approx(expected, rel=0.1)


def test_interval_depends_on_the_seed_alone():
    values = normal(20, 1, 1)[:, 0].tolist()
    assert estimate(values, seed=3) == estimate(values, seed=3) != estimate(values, seed=4)


def test_what_could_not_be_measured_does_not_count():
    assert estimate([1.0, math.nan, 3.0]).count == 2
    assert estimate([1.0, math.nan, 3.0]).mean == 2.0
    assert estimate([math.nan]) == estimate([]) == Estimate(None, None, None, 0)


def test_pairs_tell_what_separate_means_hide():
    """Photos differ much more than methods do: only the difference on the same photo shows the better one."""
    photos = {f"{i}.png": value for i, value in enumerate(normal(50, 1, 2, scale=5)[:, 0].tolist())}
    better = {name: value + 0.5 + 0.1 * math.sin(i) for i, (name, value) in enumerate(photos.items())}
    found = paired_difference({**better, "only here.png": 100.0}, photos)
    assert found.count == 50 and found.low is not None and found.high is not None
    assert 0.4 < found.low < found.high < 0.6
    alone = estimate(list(better.values()))
    assert alone.low is not None and alone.high is not None and alone.high - alone.low > 1


def test_frechet_distance_of_gaussians_is_the_closed_form():
    """|m|² + d (a - b)² for N(0, a² I) and N(m, b² I); 40,000 samples bring it within 3 %."""
    d, a, b, shift = 6, 1.0, 1.5, 0.7
    found = frechet_distance(normal(40_000, d, 0, a), normal(40_000, d, 1, b, shift))
    assert found == pytest.approx(d * shift**2 + d * (a - b) ** 2, rel=0.03)


@pytest.mark.parametrize("n", [8, 100])  # fewer and more than dimensions
def test_equal_sets_have_no_frechet_distance(n: int):
    features = normal(n, 32, 0)
    assert frechet_distance(features, features.copy()) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(features, features[::-1].copy()) == pytest.approx(0, abs=1e-8)


def test_frechet_distance_of_few_photos_still_orders():
    photos = normal(40, 128, 0)
    near, far = (frechet_distance(photos, normal(40, 128, 1, shift=shift)) for shift in (0.1, 0.5))
    assert 0 < near < far


def test_covariance_of_few_members_is_shrunk_and_keeps_its_trace():
    features = normal(10, 50, 0)
    shrunk, sample = covariance(features), np.cov(features, rowvar=False)
    assert np.trace(shrunk) == pytest.approx(np.trace(sample))
    assert np.linalg.eigvalsh(shrunk).min() > 0 > np.linalg.eigvalsh(sample).min() - 1e-9
    many = normal(1000, 5, 0)
    np.testing.assert_allclose(covariance(many), np.cov(many, rowvar=False))


def test_kernel_distance_of_like_sets_is_zero_on_average():
    """Unbiased: over 200 pairs of like sets the mean lies within 4 standard errors of 0, and some are below it."""
    found = np.array([kernel_distance(normal(20, 8, seed), normal(20, 8, 1000 + seed)) for seed in range(200)])
    assert abs(found.mean()) < 4 * found.std() / math.sqrt(len(found))
    assert found.min() < 0
    assert kernel_distance(normal(20, 8, 0), normal(20, 8, 1, shift=1.0)) > found.max()


def test_kernel_distance_is_what_its_sums_say():
    a, b = normal(3, 4, 0), normal(5, 4, 1)

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 4 + 1) ** 3)

    within_a = sum(k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j) / 6
    within_b = sum(k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j) / 20
    between = sum(k(x, y) for x in a for y in b) / 15
    assert kernel_distance(a, b) == pytest.approx(within_a + within_b - 2 * between)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_sets_that_cannot_be_compared_are_refused(distance):
    with pytest.raises(InputError, match="at least two"):
        distance(normal(1, 4, 0), normal(5, 4, 0))
    with pytest.raises(InputError, match="as many features"):
        distance(normal(5, 3, 0), normal(5, 4, 0))
    with pytest.raises(InputError, match="finite"):
        distance(normal(5, 4, 0) * np.nan, normal(5, 4, 0))
