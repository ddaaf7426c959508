"""Rays and planes -> feature image, depth, opacity. Draws the random numbers; the kernels do the arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import kernels
from ..types import TriPlanes
from .config import RenderConfig
from .rays import Rays


@dataclass(frozen=True)
class RayFeatures:
    """The features of rays [N,M,C] from -1 to 1, and their depth (clamped to the sampled range) and opacity [N,M]."""

    features: Tensor
    depth: Tensor
    opacity: Tensor


def sampling_numbers(
    n: int, m: int, config: RenderConfig, generator: torch.Generator | None, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """The jitter [N,M,S] and the quantiles [N,M,S_fine], each from 0 to below 1.

    They are random where there is a generator to draw them from, and mid-points where there is none.
    """
    coarse, fine = config.depth_resolution, config.depth_resolution_importance
    if generator is not None:
        jitter = torch.rand(n, m, coarse, generator=generator)
        u = torch.rand(n, m, fine, generator=generator) if fine else None
        return jitter.to(device), None if u is None else u.to(device)
    jitter = torch.full((1, 1, 1), 0.5, device=device).expand(n, m, coarse)
    if not fine:
        return jitter, None
    u = (torch.arange(fine, device=device) + 0.5) / fine
    return jitter, u.expand(n, m, fine)


def render_rays(
    planes: TriPlanes,
    mlp: kernels.PlaneMLP,
    rays: Rays,
    config: RenderConfig,
    *,
    jitter: Tensor | None = None,
    u: Tensor | None = None,
    generator: torch.Generator | None = None,
    implementation: kernels.Implementation = "auto",
) -> RayFeatures:
    """Composite colour features, depth and opacity along every ray.

    Where the jitter [N,M,S] and the quantiles u [N,M,S_fine] are not given, they are drawn from the generator,
    or they are deterministic mid-points where there is none.
    """
    n, m, _ = rays.origins.shape
    if jitter is None:
        jitter, u = sampling_numbers(n, m, config, generator, rays.origins.device)
    out = kernels.render_rays(
        planes.features,
        planes.plane_axes,
        mlp,
        rays.origins,
        rays.directions,
        ray_start=config.ray_start,
        ray_end=config.ray_end,
        box_warp=planes.box_warp,
        depth_resolution=config.depth_resolution,
        depth_resolution_importance=config.depth_resolution_importance,
        disparity_space_sampling=config.disparity_space_sampling,
        white_back=config.white_back,
        clip_to_box=config.clip_to_box,
        min_transmittance=config.min_transmittance,
        jitter=jitter,
        u=u,
        implementation=implementation,
    )
    nearest, farthest = out.depth_min, out.depth_max
    dims = (0, 1) if config.depth_clamp == "batch" else 1
    low, high = nearest.amin(dims, keepdim=True).detach(), farthest.amax(dims, keepdim=True).detach()
    return RayFeatures(out.features, out.depth.clamp(low, high), out.opacity)


def over_background(features: Tensor, opacity: Tensor, background: Tensor) -> Tensor:
    """Put a background behind a feature image.

    The features are [N,C,h,w] with values from -1 to 1, and the opacity is [N,1,h,w]; the values of the background are
    from 0 to 1.

    The background's side may differ; it is resized (area when shrinking, bilinear when growing).
    """
    side = features.shape[-2:]
    if background.shape[-1] > side[-1]:
        background = F.adaptive_avg_pool2d(background, (side[0], side[1]))
    elif background.shape[-1] < side[-1]:
        background = F.interpolate(background, size=side, mode="bilinear", align_corners=False)
    return features + 2 * (1 - opacity) * background
