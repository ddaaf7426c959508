"""Where the coarse samples of a ray lie; the same for every implementation, and without gradient."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Bound = float | int | Literal["auto"]


@torch.no_grad()
def coarse_depths(
    origins: Float[Tensor, "n m 3"],
    directions: Float[Tensor, "n m 3"],
    *,
    ray_start: Bound,
    ray_end: Bound,
    box_warp: float,
    disparity_space_sampling: bool,
    jitter: Float[Tensor, "n m s"],
    clip_to_box: bool = False,
) -> Float[Tensor, "n m s"]:
    """Depths from near to far, one in each of s strata, `jitter` of the stratum's width past its start.

    clip_to_box: near and far, given as numbers, end where the ray enters and leaves the box. A ray that misses it has
    strata of no thickness, so it comes out empty.
    """
    if isinstance(ray_start, str) or isinstance(ray_end, str):
        near, far = box_bounds(origins, directions, box_warp)  # [n, m, 1]
    else:
        near, far = (origins.new_full((1, 1, 1), bound) for bound in (ray_start, ray_end))
        if clip_to_box:
            enter, leave = box_crossings(origins, directions, box_warp)
            near = enter.clamp(near, far)
            far = torch.maximum(leave.clamp_max(far), near)
    samples = jitter.shape[-1]
    strata = torch.linspace(0, 1, samples, device=jitter.device, dtype=jitter.dtype)  # [s]
    t = strata + jitter / (samples - 1)  # [n, m, s]
    if disparity_space_sampling:
        return 1 / ((1 - t) / near + t / far)
    return near + strata * (far - near) + jitter * ((far - near) / (samples - 1))


def box_bounds(
    origins: Float[Tensor, "n m 3"], directions: Float[Tensor, "n m 3"], box_warp: float
) -> tuple[Float[Tensor, "n m 1"], Float[Tensor, "n m 1"]]:
    """Depths at which each ray enters and leaves the cube of side `box_warp` about the origin.

    Rays that miss get the nearest and the farthest *entry* among the rays of the batch that hit, as EG3D does. If none
    hits, all bounds are 0: every sample then has zero thickness, and the rays come out empty.
    """
    near, far = box_crossings(origins, directions, box_warp)
    hit = far > near
    if not hit.any():
        return torch.zeros_like(near), torch.zeros_like(far)
    nearest, farthest = near[hit].min(), near[hit].max()
    return torch.where(hit, near, nearest), torch.where(hit, far, farthest)


def box_crossings(
    origins: Float[Tensor, "n m 3"], directions: Float[Tensor, "n m 3"], box_warp: float
) -> tuple[Float[Tensor, "n m 1"], Float[Tensor, "n m 1"]]:
    """Depths at which each ray enters and leaves the cube of side `box_warp` about the origin; a miss leaves first."""
    side = box_warp / 2
    crossings = torch.stack([(bound - origins) / directions for bound in (-side, side)])  # [2, n, m, 3]
    return crossings.amin(0).amax(-1, keepdim=True), crossings.amax(0).amin(-1, keepdim=True)
