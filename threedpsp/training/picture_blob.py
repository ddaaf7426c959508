"""Many small pictures as two tensors: the bytes of their files one after another, and where each file ends."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_SLOWEST = 6  # of WebP's efforts; the smallest files


def pack_pictures(pictures: Iterable[np.ndarray], quality: int | None) -> tuple[Tensor, Tensor]:
    """Pictures uint8 [h,w,3] or [h,w] as WebP.

    Args:
        pictures: of any sizes.
        quality: 1 to 100 of lossy WebP, or None to lose nothing.

    Returns:
        data uint8 [bytes]; ends int64 [N], the place in the data where each file ends.
    """
    files = [_encode(picture, quality) for picture in pictures]
    data = torch.frombuffer(bytearray(b"".join(files)), dtype=torch.uint8)
    return data, torch.tensor([len(file) for file in files]).cumsum(0)


def unpack_pictures(data: Tensor, ends: Tensor) -> Iterator[np.ndarray]:
    """The pictures uint8 [h,w,3] that `pack_pictures` packed, one after another."""
    content, start = data.numpy().tobytes(), 0
    for end in ends.tolist():
        with Image.open(io.BytesIO(content[start:end])) as image:
            yield np.asarray(image.convert("RGB"))
        start = end


def _encode(picture: np.ndarray, quality: int | None) -> bytes:
    file = io.BytesIO()
    choices = {"lossless": True} if quality is None else {"quality": quality}
    Image.fromarray(picture).save(file, "WEBP", method=_SLOWEST, **choices)
    return file.getvalue()
