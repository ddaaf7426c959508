"""Resampling: zeros between the pixels, a filter, every so-manieth pixel kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, pad


def upfirdn2d(
    x: Float[Tensor, "n c h w"], taps: Sequence[float], up: int, down: int, padding: tuple[int, int]
) -> Float[Tensor, "n c h2 w2"]:
    """See `eg3d_kernels.upfirdn2d`."""
    channels, reach = x.shape[1], len(taps) - 1
    row = x.new_tensor(taps)
    kernel = torch.outer(row, row).expand(channels, 1, -1, -1)  # [c, 1, k, k]
    before, after = padding
    if up == 1:
        filtered = conv2d(_padded(x, before, after), kernel.flip(2, 3), groups=channels)
    else:  # a transposed convolution is zeros between the pixels, then the whole convolution
        whole = conv_transpose2d(x, kernel, stride=up, groups=channels)
        filtered = _padded(whole, before - reach, after - reach + up - 1)
    return filtered[:, :, ::down, ::down]


def _padded(x: Tensor, before: int, after: int) -> Tensor:
    """Zeros around all, then what is negative is cropped."""
    widened = pad(x, (max(before, 0), max(after, 0)) * 2)
    return pad(widened, (min(before, 0), min(after, 0)) * 2)
