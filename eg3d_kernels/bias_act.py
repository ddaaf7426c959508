"""The op `bias_act`: contract, validation, choice of implementation."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from . import cpu, reference
from ._backend import Implementation, choose

Activation = Literal["linear", "leaky_relu"]
LEAKY_RELU_SLOPE = 0.2


def bias_act(
    x: Float[Tensor, "n c h w"],
    bias: Float[Tensor, " c"] | None = None,
    *,
    noise: Float[Tensor, "b 1 h w"] | None = None,
    activation: Activation = "linear",
    gain: float = 1.0,
    clamp: float | None = None,
    in_place: bool = False,
    implementation: Implementation = "auto",
) -> Float[Tensor, "n c h w"]:
    """clamp(gain * activation(x + noise + bias)): what follows a convolution.

    Differentiable in x, bias and noise, by "cpu" once only. A value at the clamp has no gradient.

    Args:
        x: any strides; channels_last is fastest, and "cpu" returns that. float16 and bfloat16 are computed in float32.
        bias: added to each channel.
        noise: added to all channels of a pixel; b is n, or 1 for the same in every sample.
        activation: "leaky_relu" multiplies negative values by .2.
        gain: more than 0.
        clamp: the largest absolute value of the result; None = any.
        in_place: allow x to be overwritten, where no gradient is wanted; use the returned tensor all the same.
        implementation: "auto" picks the fastest that accepts the inputs; a named one that cannot run raises.

    Raises:
        ValueError: shapes or settings that do not fit.
        KernelUnavailableError: the named implementation cannot run here or on these inputs.
    """
    if x.ndim != 4:
        raise ValueError(f"x must be [n, c, h, w]; got {list(x.shape)}.")
    n, c, h, w = x.shape
    if bias is not None and tuple(bias.shape) != (c,):
        raise ValueError(f"bias must be [{c}]; got {list(bias.shape)}.")
    if noise is not None and (tuple(noise.shape[1:]) != (1, h, w) or noise.shape[0] not in (1, n)):
        raise ValueError(f"noise must be [{n} or 1, 1, {h}, {w}]; got {list(noise.shape)}.")
    if activation not in ("linear", "leaky_relu"):
        raise ValueError(f"activation must be 'linear' or 'leaky_relu'; got {activation!r}.")
    if not gain > 0 or (clamp is not None and not clamp > 0):
        raise ValueError(f"gain and clamp must be more than 0; got {gain}, {clamp}.")
    given = [t for t in (x, bias, noise) if t is not None]
    in_place = in_place and not (torch.is_grad_enabled() and any(t.requires_grad for t in given))
    slope = LEAKY_RELU_SLOPE if activation == "leaky_relu" else 1.0
    settings = (slope, float(gain), math.inf if clamp is None else float(clamp))
    if choose("bias_act", implementation, given[1:], given[:1]) == "cpu":
        return cpu.bias_act(x, bias, noise, *settings, in_place)
    return reference.bias_act(x, bias, noise, *settings)
