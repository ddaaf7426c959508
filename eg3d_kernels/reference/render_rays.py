"""Volume rendering: coarse samples, samples where those found density, compositing of both."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool1d, max_pool1d, softplus

from ..types import PlaneMLP, RayOutputs
from .query_points import query_points


def render_rays(
    features: Float[Tensor, "n 3 h w c"],
    plane_axes: str,
    mlp: PlaneMLP,
    origins: Float[Tensor, "n m 3"],
    directions: Float[Tensor, "n m 3"],
    depths: Float[Tensor, "n m s"],
    u: Float[Tensor, "n m fine"] | None,
    box_warp: float,
    white_back: bool,
) -> RayOutputs:
    """See `eg3d_kernels.render_rays`; `depths` are the coarse samples', `u` None means no fine ones."""

    def shade(depths: Tensor) -> tuple[Tensor, Tensor]:
        points = origins[:, :, None] + depths[..., None] * directions[:, :, None]  # [n, m, s, 3]
        raw_sigma, rgb = query_points(features, plane_axes, mlp, points.flatten(1, 2), box_warp)
        return raw_sigma.view(depths.shape), rgb.view(*depths.shape, rgb.shape[-1])

    raw_sigma, rgb = shade(depths)  # [n, m, s], [n, m, s, out]
    if u is not None:
        with torch.no_grad():
            fine = importance_depths(depths, compositing_weights(depths, raw_sigma), u)  # [n, m, fine]
        fine_sigma, fine_rgb = shade(fine)
        depths, order = torch.cat([depths, fine], dim=-1).sort(dim=-1)
        raw_sigma = torch.cat([raw_sigma, fine_sigma], dim=-1).gather(-1, order)
        rgb = torch.cat([rgb, fine_rgb], dim=-2).gather(-2, order[..., None].expand(-1, -1, -1, rgb.shape[-1]))
    return composite(depths, raw_sigma, rgb, white_back)


def compositing_weights(depths: Float[Tensor, "n m s"], raw_sigma: Float[Tensor, "n m s"]) -> Float[Tensor, "n m s-1"]:
    """Share of the ray's light that each interval between neighbouring samples contributes."""
    deltas = depths.diff(dim=-1)
    density = softplus((raw_sigma[..., :-1] + raw_sigma[..., 1:]) / 2 - 1)
    alpha = 1 - torch.exp(-density * deltas)
    passed = torch.cumprod(1 - alpha + 1e-10, dim=-1)  # after each interval
    transmittance = torch.cat([torch.ones_like(passed[..., :1]), passed[..., :-1]], dim=-1)  # before it
    return alpha * transmittance


def importance_depths(
    depths: Float[Tensor, "n m s"], weights: Float[Tensor, "n m s-1"], u: Float[Tensor, "n m fine"]
) -> Float[Tensor, "n m fine"]:
    """Depths at the quantiles `u` of the blurred weights, linear between the middles of the coarse intervals."""
    blurred = max_pool1d(weights.flatten(0, 1)[:, None], 2, stride=1, padding=1)  # [n * m, 1, s]
    blurred = avg_pool1d(blurred, 2, stride=1).view(weights.shape) + 0.01  # [n, m, s-1]
    pdf = blurred[..., 1:-1] + 1e-5
    pdf = pdf / pdf.sum(dim=-1, keepdim=True)  # [n, m, s-3]
    cdf = torch.cat([torch.zeros_like(pdf[..., :1]), pdf.cumsum(dim=-1)], dim=-1)  # [n, m, s-2]
    bins = (depths[..., :-1] + depths[..., 1:]) / 2  # [n, m, s-1]
    above = torch.searchsorted(cdf, u.contiguous(), right=True)  # [n, m, fine]
    low, high = (above - 1).clamp(min=0), above.clamp(max=pdf.shape[-1])
    cdf_low, cdf_high = cdf.gather(-1, low), cdf.gather(-1, high)
    width = cdf_high - cdf_low
    width = torch.where(width < 1e-5, torch.ones_like(width), width)
    bin_low, bin_high = bins.gather(-1, low), bins.gather(-1, high)
    return bin_low + (u - cdf_low) / width * (bin_high - bin_low)


def composite(
    depths: Float[Tensor, "n m s"],
    raw_sigma: Float[Tensor, "n m s"],
    rgb: Float[Tensor, "n m s out"],
    white_back: bool,
) -> RayOutputs:
    """Sum the samples of each ray; colour and depth of an interval are the mean of its two ends."""
    weights = compositing_weights(depths, raw_sigma)  # [n, m, s-1]
    opacity = weights.sum(dim=-1)
    color = (weights[..., None] * (rgb[..., :-1, :] + rgb[..., 1:, :]) / 2).sum(dim=-2)
    if white_back:
        color = color + 1 - opacity[..., None]
    total_depth = (weights * (depths[..., :-1] + depths[..., 1:]) / 2).sum(dim=-1)
    empty = opacity == 0
    depth = torch.where(empty, torch.inf, total_depth / torch.where(empty, 1, opacity))
    return RayOutputs(color * 2 - 1, depth, opacity, depths.amin(dim=-1).detach(), depths.amax(dim=-1).detach())
