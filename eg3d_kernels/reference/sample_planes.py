"""Features of points: the mean of three bilinear look-ups."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from ..plane_axes import parse_plane_axes


def sample_planes(
    features: Float[Tensor, "n 3 h w c"], coordinates: Float[Tensor, "n p 3"], plane_axes: str
) -> Float[Tensor, "n p c"]:
    """See `eg3d_kernels.sample_planes`."""
    n, _, h, w, c = features.shape
    p = coordinates.shape[1]
    if n * p * c == 0:
        return coordinates.new_zeros(n, p, c) + 0 * (features.sum() + coordinates.sum())
    axes = torch.tensor(parse_plane_axes(plane_axes), device=coordinates.device)
    projected = coordinates[..., axes].transpose(1, 2)  # [n, 3, p, 2], the width's coordinate first
    sampled = grid_sample(
        features.permute(0, 1, 4, 2, 3).reshape(n * 3, c, h, w),
        projected.reshape(n * 3, 1, p, 2),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )  # [n * 3, c, 1, p]
    return sampled.view(n, 3, c, p).mean(dim=1).transpose(1, 2)
