"""Density and colour of points in space."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear, softplus

from ..types import PlaneMLP
from .sample_planes import sample_planes


def query_points(
    features: Float[Tensor, "n 3 h w c"],
    plane_axes: str,
    mlp: PlaneMLP,
    points: Float[Tensor, "n p 3"],
    box_warp: float,
) -> tuple[Float[Tensor, "n p 1"], Float[Tensor, "n p out"]]:
    """See `eg3d_kernels.query_points`."""
    x = sample_planes(features, points * (2 / box_warp), plane_axes)  # [n, p, c]
    hidden = softplus(linear(x, mlp.w0, mlp.b0))  # [n, p, hidden]
    decoded = linear(hidden, mlp.w1, mlp.b1)  # [n, p, 1 + out]
    rgb = torch.sigmoid(decoded[..., 1:]) * (1 + 2 * 0.001) - 0.001  # a little wider than [0, 1]
    return decoded[..., :1], rgb
