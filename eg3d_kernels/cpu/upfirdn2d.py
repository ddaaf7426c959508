"""`upfirdn2d` in C++. Its backward pass is itself with another filter, so it can be differentiated again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import register_autograd, register_fake

from .._backend import call
from .images import Sizes, channels_last, new_images, typed
from .registration import operator


def upfirdn2d(x: Tensor, taps: Sequence[float], up: int, down: int, pad: int, size: Sizes) -> Tensor:
    """See `eg3d_kernels.upfirdn2d`; the padding after the pixels follows from the `size` [h2, w2] of the result."""
    # A convolution meets the taps from the last to the first.
    return forward(x, list(taps)[::-1], up, down, pad, list(size))


@operator("upfirdn2d(Tensor x, float[] taps, int up, int down, int pad, SymInt[] size) -> Tensor")
def forward(x: Tensor, taps: list[float], up: int, down: int, pad: int, size: Sizes) -> Tensor:
    """taps[k] weighs the pixel at offset k - pad."""
    return resampled(x, taps, up, down, pad, size, None)


@register_fake(forward)
def _new_output(x: Tensor, taps: list[float], up: int, down: int, pad: int, size: Sizes) -> Tensor:
    return new_images(x, (*x.shape[:2], *size))


def resampled(
    x: Tensor, taps: Sequence[float], up: int, down: int, pad: int, size: Sizes, scale: Tensor | None
) -> Tensor:
    """As `forward`, times scale [n, c]; no gradient."""
    n, c, h, w = x.shape
    out = new_images(x, (n, c, *size))
    row = x.new_tensor(list(taps), dtype=torch.float32)
    factors = None if scale is None else scale.contiguous()
    call(typed("eg3d_upfirdn2d", x), channels_last(x), row, factors, out, n, h, w, c, *size, len(taps), up, down, pad)
    return out


def transposed(taps: Sequence[float], up: int, down: int, pad: int) -> tuple[list[float], int, int, int]:
    """The arguments that take the result's gradient to x's."""
    return list(taps)[::-1], down, up, len(taps) - 1 - pad


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *ctx.settings, _ = inputs
    ctx.size = list(x.shape[2:])


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return forward(grad, *transposed(*ctx.settings), ctx.size), None, None, None, None, None


register_autograd(forward, _backward, setup_context=_save)
