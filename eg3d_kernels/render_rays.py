"""The op `render_rays`: contract, validation, choice of implementation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from . import cpu, reference
from ._backend import Implementation, choose
from .depths import Bound, coarse_depths
from .plane_axes import parse_plane_axes
from .sample_planes import check_planes
from .shapes import check_decoder, check_shape
from .types import PlaneMLP, RayOutputs


def render_rays(
    features: Float[Tensor, "n 3 h w c"],
    plane_axes: str,
    mlp: PlaneMLP,
    origins: Float[Tensor, "n m 3"],
    directions: Float[Tensor, "n m 3"],
    *,
    ray_start: Bound,
    ray_end: Bound,
    box_warp: float,
    depth_resolution: int,
    depth_resolution_importance: int,
    disparity_space_sampling: bool = False,
    white_back: bool = False,
    clip_to_box: bool = False,
    min_transmittance: float = 0.0,
    jitter: Float[Tensor, "n m s"] | None = None,
    u: Float[Tensor, "n m fine"] | None = None,
    implementation: Implementation = "auto",
) -> RayOutputs:
    """Colour, depth and opacity of rays through the planes.

    Differentiable in planes, decoder and rays, by "cpu" once only. The depths of the samples, and with them the
    automatic bounds, have no gradient.

    Args:
        features: the planes, channels last, any strides.
        plane_axes: see `sample_planes`.
        mlp: the decoder's effective weights.
        origins: where the rays start, world units; any strides.
        directions: unit length; any strides.
        ray_start: depth of the nearest sample, world units; "auto" (then `ray_end` too) where the ray enters the box.
        ray_end: depth of the farthest sample.
        box_warp: side of the cube that the planes span, world units.
        depth_resolution: coarse samples a ray, at least 4 with importance sampling, else 2.
        depth_resolution_importance: fine samples a ray; 0 = none.
        disparity_space_sampling: space the coarse samples evenly in 1/depth.
        white_back: put white behind what the ray meets.
        clip_to_box: end numeric bounds at the box; outside it a plane that lacks the axis would go on for ever.
        min_transmittance: samples that a smaller share of the light reaches may be left out; 0 = none. Opacities and
            colours (0..1) change by about that at most. "cpu" leaves out, others do not; gradients are of all samples.
        jitter: position of each coarse sample within its stratum, [0,1); None = .5.
        u: quantiles of the fine samples, [0,1), in any order; None = (i + .5) / fine.
        implementation: "auto" picks the fastest that accepts the inputs; a named one that cannot run raises.

    Raises:
        ValueError: shapes or settings that do not fit.
        KernelUnavailableError: the named implementation cannot run here or on these inputs.
    """
    n, m = origins.shape[:2]
    fine = depth_resolution_importance
    check_planes(features, n)
    parse_plane_axes(plane_axes)
    if (ray_start == "auto") != (ray_end == "auto"):
        raise ValueError(f"ray_start and ray_end: both numbers, or both 'auto'; got {ray_start!r}, {ray_end!r}.")
    if not isinstance(ray_start, str) and not isinstance(ray_end, str) and ray_start >= ray_end:
        raise ValueError(f"ray_start must be less than ray_end; got {ray_start}, {ray_end}.")
    if box_warp <= 0:
        raise ValueError(f"box_warp must be positive; got {box_warp}.")
    if not 0 <= min_transmittance < 1:
        raise ValueError(f"min_transmittance must be at least 0 and below 1; got {min_transmittance}.")
    if depth_resolution < (4 if fine else 2):
        raise ValueError(f"depth_resolution must be at least 4 (2 without importance samples); got {depth_resolution}.")
    if jitter is None:
        jitter = origins.new_full((1, 1, depth_resolution), 0.5).expand(n, m, -1)
    if fine and u is None:
        u = ((torch.arange(fine, device=origins.device, dtype=origins.dtype) + 0.5) / fine).expand(n, m, -1)
    check_decoder(mlp, features.shape[-1])
    check_shape("origins", origins, (n, m, 3))
    check_shape("directions", directions, (n, m, 3))
    check_shape("jitter", jitter, (n, m, depth_resolution))
    if u is not None and fine:
        check_shape("u", u, (n, m, fine))
    depths = coarse_depths(
        origins,
        directions,
        ray_start=ray_start,
        ray_end=ray_end,
        box_warp=box_warp,
        disparity_space_sampling=disparity_space_sampling,
        jitter=jitter,
        clip_to_box=clip_to_box,
    )
    u = u if fine else None
    arguments = (features, plane_axes, mlp, origins, directions, depths, u, float(box_warp), white_back)
    tensors = [features, *mlp, origins, directions, depths, *([] if u is None else [u])]
    if choose("render_rays", implementation, tensors) == "cpu":
        return cpu.render_rays(*arguments, min_transmittance)
    return reference.render_rays(*arguments)
