"""The op `query_points`: contract, validation, choice of implementation."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from . import cpu, reference
from ._backend import Implementation, choose
from .plane_axes import parse_plane_axes
from .sample_planes import check_planes
from .shapes import check_decoder, check_shape
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

    Differentiable in everything, by "cpu" once only.

    Args:
        features: the planes, channels last, any strides.
        plane_axes: see `sample_planes`.
        mlp: the decoder's effective weights.
        points: world units; the planes span the cube of side `box_warp` about the origin. Any strides.
        box_warp: side of that cube, world units.
        implementation: "auto" picks the fastest that accepts the inputs; a named one that cannot run raises.

    Raises:
        ValueError: shapes that do not fit.
        KernelUnavailableError: the named implementation cannot run here or on these inputs.
    """
    check_planes(features, len(points))
    parse_plane_axes(plane_axes)
    check_decoder(mlp, features.shape[-1])
    check_shape("points", points, (*points.shape[:2], 3))
    chosen = choose("query_points", implementation, [features, *mlp, points])
    return (cpu if chosen == "cpu" else reference).query_points(features, plane_axes, mlp, points, float(box_warp))
