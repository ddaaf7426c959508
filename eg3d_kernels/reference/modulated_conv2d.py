"""A convolution whose input channels are scaled by a style, and whose output channels are scaled back."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

from ..resampling import BLUR_TAPS
from .upfirdn2d import upfirdn2d


def modulated_conv2d(
    x: Float[Tensor, "n i h w"],
    weight: Float[Tensor, "o i k k"],
    styles: Float[Tensor, "n i"],
    demodulate: bool,
    up: bool,
) -> Float[Tensor, "n o h2 w2"]:
    """See `eg3d_kernels.modulated_conv2d`.

    Scales the input, convolves all samples with the same weights, scales the output: the same numbers as if each sample
    had weights of its own, in one dense convolution.
    """
    kind = x.dtype
    if kind == torch.float16 and demodulate:
        weight, styles = _small(weight, styles)
    x = (x * styles[:, :, None, None]).to(kind)
    if up:
        x = conv_transpose2d(x, weight.transpose(0, 1).to(kind), stride=2)  # [n, o, 2 h + 1, 2 w + 1]
        x = upfirdn2d(x, BLUR_TAPS, 1, 1, (1, 1))  # [n, o, 2 h, 2 w]
    else:
        x = conv2d(x, weight.to(kind), padding=weight.shape[-1] // 2)
    return (x * demodulation(weight, styles)[:, :, None, None]).to(kind) if demodulate else x


def _small(weight: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and styles so small that no sum overflows float16; demodulation takes the factors out again."""
    most = weight.abs().amax((1, 2, 3), keepdim=True) * weight[0].numel() ** 0.5
    return weight / most.clamp_min(1e-12), styles / styles.abs().amax(1, keepdim=True).clamp_min(1e-12)


def demodulation(weight: Float[Tensor, "o i k k"], styles: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
    """1 / the length of each output channel's modulated weights."""
    return torch.rsqrt(styles.square() @ weight.square().sum((2, 3)).T + 1e-8)
