"""Between the layouts of ComfyUI and of the core.

The images of ComfyUI are [B,H,W,3], that is, colours come last, and the values of colours are from 0 to 1. The images
of the core are [B,3,H,W], that is, colours come before rows and columns, and their values are from -1 to 1. Masks have
no colours, so they are [B,H,W].
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def image_from_core(images: Tensor) -> Tensor:
    """[N,3,H,W] in [-1,1] -> IMAGE [N,H,W,3] in [0,1], on the CPU."""
    return images.detach().float().clamp(-1, 1).add(1).div(2).permute(0, 2, 3, 1).contiguous().cpu()


def image_in_place(images: Tensor) -> Tensor:
    """The same for pictures that nobody else uses: their memory becomes the IMAGE's, so that long videos fit."""
    return images.clamp_(-1, 1).add_(1).div_(2).permute(0, 2, 3, 1).contiguous()


def image_to_core(images: Tensor) -> Tensor:
    """From images of ComfyUI [B,H,W,3 or 4] to those of the core [B,3,H,W].

    Values from 0 to 1 become values from -1 to 1. The result is a copy that gradients may flow through.
    """
    return images[..., :3].detach().clone().permute(0, 3, 1, 2).float().mul(2).sub(1).contiguous()


def photos_from_image(images: Tensor) -> list[np.ndarray]:
    """The images of ComfyUI as photos for the function `load_photo`: each [H,W,3 or 4], floating point from 0 to 1."""
    return [photo.cpu().numpy() for photo in images]


def grey_image(values: Tensor) -> Tensor:
    """[N,1,H,W] in [0,1] -> IMAGE [N,H,W,3], on the CPU."""
    return values.detach().float().clamp(0, 1).permute(0, 2, 3, 1).expand(-1, -1, -1, 3).contiguous().cpu()


def preview_of(image: Tensor, max_side: int = 512) -> tuple[str, Image.Image, int]:
    """The first of some images [N,3,H,W], values from -1 to 1, in the form that ComfyUI's live previews want."""
    pixels = image_from_core(image[:1])[0].mul(255).round().to(torch.uint8).numpy()
    return ("JPEG", Image.fromarray(pixels), max_side)
