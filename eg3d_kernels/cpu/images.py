"""Images as the compiled functions take them: channels last, in float32 or bfloat16."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Sizes = Sequence[Any]
"""Whole numbers; while torch traces, symbols that stand for them."""


def channels_last(x: Tensor) -> Tensor:
    """x [n, c, h, w] itself where it is so in memory, else a copy."""
    return x.contiguous(memory_format=torch.channels_last)


def typed(function: str, images: Tensor) -> str:
    """The name of the compiled function for images of this type."""
    return f"{function}_bf16" if images.dtype == torch.bfloat16 else function


def new_images(like: Tensor, shape: Sizes) -> Tensor:
    """Uninitialised images [n, c, h, w]."""
    return torch.empty(tuple(shape), dtype=like.dtype, device=like.device, memory_format=torch.channels_last)
