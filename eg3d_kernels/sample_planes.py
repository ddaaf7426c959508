"""The op `sample_planes`: contract, validation, choice of implementation."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from . import cpu, reference
from ._backend import Implementation, choose
from .plane_axes import parse_plane_axes


def sample_planes(
    features: Float[Tensor, "n 3 h w c"],
    coordinates: Float[Tensor, "n p 3"],
    plane_axes: str,
    implementation: Implementation = "auto",
) -> Float[Tensor, "n p c"]:
    """Features of points: the mean of three bilinear look-ups, one in each plane.

    Pixel centres as `grid_sample(align_corners=False)` has them; zeros outside a plane. Differentiable in both tensors,
    "cpu" once only.

    Args:
        features: the planes, channels last; any strides (contiguous is fastest).
        coordinates: x, y, z of each point; the planes span [-1, 1].
        plane_axes: e.g. "xy_xz_zx"; of each pair, the first letter runs along the width.
        implementation: "auto" picks the fastest that accepts the inputs; a named one that cannot run raises.

    Raises:
        ValueError: shapes or `plane_axes` that do not fit.
        KernelUnavailableError: the named implementation cannot run here or on these inputs.
    """
    parse_plane_axes(plane_axes)
    check_planes(features, coordinates.shape[0])
    if coordinates.ndim != 3 or coordinates.shape[-1] != 3:
        raise ValueError(f"coordinates must be [n, p, 3]; got {list(coordinates.shape)}.")
    chosen = choose("sample_planes", implementation, (features, coordinates))
    run = cpu.sample_planes if chosen == "cpu" else reference.sample_planes
    return run(features, coordinates, plane_axes)


def check_planes(features: Tensor, batch: int) -> None:
    """Raise ValueError unless `features` is [batch, 3, h, w, c]."""
    if features.ndim != 5 or features.shape[:2] != (batch, 3):
        raise ValueError(f"features must be [n, 3, h, w, c] with n = {batch}; got {list(features.shape)}.")
