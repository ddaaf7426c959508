"""How far a set of pictures is from a set of photos, by the features of some network: Fréchet and kernel distance.

With Inception's features these are FID and KID. With another network's they are other measures: give them other names.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..errors import InputError


def frechet_distance(a: Float[ndarray, "n d"], b: Float[ndarray, "m d2"], *, shrink: bool = True) -> float:
    """|mean a - mean b|² + tr(A + B - 2 (AB)^½) of the sets' features; 0 = the same mean and covariance.

    Where a set has no more members than features have dimensions, its covariance is shrunk (`covariance`), as it would
    else leave most directions out; FID as published does not (`shrink` False). The figure falls with the number of
    members: compare sets of one size only.

    Raises:
        InputError: other shapes, fewer than two members, or numbers that are not finite.
    """
    a, b = _checked(a, b)
    cov_a, cov_b = (covariance(x) if shrink else np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    root = _square_root(cov_a)
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ cov_b @ root), 0, None)).sum()
    difference = a.mean(0) - b.mean(0)
    return float(max(0.0, difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2 * cross))


def kernel_distance(a: Float[ndarray, "n d"], b: Float[ndarray, "m d2"]) -> float:
    """Squared maximum mean discrepancy with the kernel (x·y / d + 1)³, unbiased: about 0, or below, for like sets.

    Raises:
        InputError: other shapes, fewer than two members, or numbers that are not finite.
    """
    a, b = _checked(a, b)
    within = [(_kernel(x, x).sum() - np.trace(_kernel(x, x))) / (len(x) * (len(x) - 1)) for x in (a, b)]
    return float(sum(within) - 2 * _kernel(a, b).mean())


def covariance(features: Float[ndarray, "n d"]) -> Float[ndarray, "d d"]:
    """Covariance over the members; shrunk towards a multiple of the identity where they are no more than dimensions.

    How far is the oracle-approximating estimate of Chen, Wiesel, Eldar and Hero (2010).
    """
    n, d = features.shape
    sample = np.atleast_2d(np.cov(features, rowvar=False))
    if n > d:
        return sample
    scale = np.trace(sample) / d
    mean_square = np.square(sample).mean()
    divisor = (n + 1) * (mean_square - scale**2 / d)
    share = 1.0 if divisor <= 0 else min(1.0, (mean_square + scale**2) / divisor)
    return (1 - share) * sample + share * scale * np.eye(d)


def _square_root(matrix: ndarray) -> ndarray:
    """Of a symmetric matrix without negative eigenvalues (rounding apart)."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def _kernel(a: ndarray, b: ndarray) -> ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _checked(a: ndarray, b: ndarray) -> tuple[ndarray, ndarray]:
    if a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise InputError(
            f"Two sets of at least two members, with as many features, are compared; got {a.shape} and {b.shape}."
        )
    a, b = a.astype(np.float64), b.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("Sets of pictures are compared by finite features; a network gave others.")
    return a, b
