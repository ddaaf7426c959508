"""What follows a convolution: noise, bias, activation, gain and clamp."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import leaky_relu


def bias_act(
    x: Float[Tensor, "n c h w"],
    bias: Float[Tensor, " c"] | None,
    noise: Float[Tensor, "b 1 h w"] | None,
    slope: float,
    gain: float,
    clamp: float,
) -> Float[Tensor, "n c h w"]:
    """See `eg3d_kernels.bias_act`; `slope` is what negative values are multiplied by, `clamp` may be infinite."""
    kind = x.dtype
    if noise is not None:
        x = x + noise
    if bias is not None:
        x = x + bias[:, None, None]
    if slope != 1:
        x = leaky_relu(x, slope)
    if gain != 1:
        x = x * gain
    return (x if math.isinf(clamp) else x.clamp(-clamp, clamp)).to(kind)
