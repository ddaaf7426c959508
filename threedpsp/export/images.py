"""Tensors in [-1,1] to pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from ..output import atomic_write

_DEPTH_COLOURS = ((12, 16, 48), (38, 62, 140), (34, 132, 154), (120, 190, 110), (246, 214, 92), (255, 246, 214))
_NO_HEAD = (24, 24, 28)


def to_uint8(image: Float[Tensor, "n 3 h w"]) -> UInt8[ndarray, "n h w 3"]:
    """From images [N,3,H,W] of any device to uint8 [N,H,W,3] on the CPU.

    The values of the images are from -1 to 1; what is outside of that range is clamped to it.
    """
    scaled = image.detach().float().add(1).mul(127.5).round().clamp(0, 255)
    return scaled.permute(0, 2, 3, 1).to("cpu", torch.uint8).contiguous().numpy()


def enlarge(image: Float[Tensor, "n 3 h w"], side: int) -> Float[Tensor, "n 3 h2 w2"]:
    """Bicubic, to `side` pixels; an image that is as large or larger stays as it is."""
    if image.shape[-1] >= side:
        return image
    return torch.nn.functional.interpolate(image, size=(side, side), mode="bicubic", align_corners=False)


def depth_to_rgb(
    depth: Float[Tensor, "1 h w"],
    opacity: Float[Tensor, "1 h w"],
    near: float | None = None,
    far: float | None = None,
) -> UInt8[ndarray, "h w 3"]:
    """Depth (world units) as colours: near is bright, far is dark blue, no head is grey.

    near, far: the ends of the scale; by default the 1st and 99th percentile where opacity > .5.
    """
    values = depth[0].detach().float().cpu().numpy()
    head = opacity[0].detach().float().cpu().numpy() > 0.5
    if not head.any():
        return np.full((*values.shape, 3), _NO_HEAD, dtype=np.uint8)
    low = float(np.percentile(values[head], 1)) if near is None else near
    high = float(np.percentile(values[head], 99)) if far is None else far
    closeness = np.clip((high - values) / max(high - low, 1e-6), 0, 1)
    stops = np.linspace(0, 1, len(_DEPTH_COLOURS))
    colours = np.stack([np.interp(closeness, stops, [c[i] for c in _DEPTH_COLOURS]) for i in range(3)], axis=-1)
    return np.where(head[..., None], colours.round(), _NO_HEAD).astype(np.uint8)


def save_png(path: str | Path, image: UInt8[ndarray, "h w 3"] | Image.Image) -> None:
    """Writes a PNG, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    with atomic_write(path) as temporary:
        picture.save(temporary, format="PNG")
