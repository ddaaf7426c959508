"""The op `query_points`: contract, validation, choice of implementation."""

from __future__ import annotations

from functools import partial

from jaxtyping import Float
from torch import Tensor

from . import reference
from ._backend import Implementation
from .sample_planes import sample_planes
from .types import PlaneMLP


def query_points(
    features: Float[Tensor, "n 3 h w c"],
    plane_axes: str,
    mlp: PlaneMLP,
    points: Float[Tensor, "n p 3"],
    box_warp: float,
    implementation: Implementation = "auto",
) -> tuple[Float[Tensor, "n p 1"], Float[Tensor, "n p out"]]:
    """Raw density (before softplus(. - 1)) and colour (in [-.001, 1.001]) of points in space.

    Differentiable in everything. `implementation` is that of `sample_planes`, the expensive part.

    Args:
        features: the planes, channels last.
        plane_axes: see `sample_planes`.
        mlp: the decoder's effective weights.
        points: world units; the planes span the cube of side `box_warp` about the origin.
        box_warp: side of that cube, world units.
        implementation: see `sample_planes`.
    """
    sample = partial(sample_planes, implementation=implementation)
    return reference.query_points(features, plane_axes, mlp, points, box_warp, sample)
