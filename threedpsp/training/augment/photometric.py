"""Light, colour and sharpness of pictures, changed while training. Geometry stays, and so do cameras and masks."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ...device import random_generator

LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Photometric:
    """How far pictures may be changed; spreads are standard deviations, 0 leaves them alone."""

    exposure: float = 0.12
    """Of the logarithm of all values."""
    white_balance: float = 0.05
    """Of the logarithm of each channel."""
    contrast: float = 0.1
    saturation: float = 0.15
    gamma: float = 0.1
    """Of the logarithm of the exponent."""
    side_light: float = 0.2
    """Of the logarithm of the light's change from the middle to an edge."""
    patches: float = 0.08
    """The same for broad soft patches of light and shade."""
    blur: float = 0.15
    """Share of blurred pictures."""
    noise: float = 0.2
    """Share of noisy pictures."""
    jpeg: float = 0.15
    """Share of pictures stored as JPEG of low quality."""


USUAL = Photometric()


def changed(images: Tensor, seeds: list[int], how: Photometric = USUAL) -> tuple[Tensor, Tensor]:
    """Changed pictures; each one's seed alone decides how.

    Args:
        images: [N,3,s,s], values from -1 to 1.
        seeds: N.
        how: far.

    Returns:
        [N,3,s,s], values from -1 to 1; bool [N], which of them are as sharp as before.
    """
    randoms = [random_generator(seed) for seed in seeds]
    images = relit(images, _normal(randoms, 18), how)
    chance = torch.stack([torch.rand(3, generator=random) for random in randoms])
    share = torch.tensor([how.blur, how.noise, how.jpeg])
    blurred, noisy, stored = (chance < share).T
    amount = torch.stack([torch.rand(3, generator=random) for random in randoms])
    out = []
    for i, (image, random) in enumerate(zip(images, randoms, strict=True)):
        if blurred[i]:
            image = gaussian_blur(image, (0.4 + 1.4 * float(amount[i, 0])) * image.shape[-1] / 256)
        if noisy[i]:
            grain = torch.randn(image.shape, generator=random)
            image = image + grain * (0.01 + 0.05 * float(amount[i, 1]))
        if stored[i]:
            image = through_jpeg(image.clamp(-1, 1), round(35 + 55 * float(amount[i, 2])))
        out.append(image)
    return torch.stack(out).clamp(-1, 1), ~(blurred | stored)


def relit(images: Tensor, draws: Tensor, how: Photometric) -> Tensor:
    """Other light and colours, as smooth functions of draws [N,18] from a normal distribution."""
    n, _, height, width = images.shape
    d = draws.clamp(-2, 2)
    of = lambda i: d[:, i, None, None, None]  # noqa: E731 - [N,1,1,1]
    value = ((images + 1) / 2).clamp_min(0)
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    patches = F.interpolate(d[:, 9:18].view(n, 1, 3, 3), (height, width), mode="bicubic", align_corners=True)
    light = how.side_light * (of(0) * x + 0.6 * of(1) * y) + how.patches * patches + how.exposure * of(2)
    balance = d[:, 3:6] - d[:, 3:6].mean(1, keepdim=True)
    value = value * torch.exp(light + how.white_balance * balance[:, :, None, None])
    value = torch.where(value > 0.85, 0.85 + 0.15 * torch.tanh((value - 0.85) / 0.15), value)  # as film does
    value = value.clamp_min(1e-4).pow(torch.exp(how.gamma * of(6)))
    grey = (value * value.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    value = grey + (value - grey) * (1 + how.saturation * of(7))
    middle = grey.mean((2, 3), keepdim=True)
    value = middle + (value - middle) * (1 + how.contrast * of(8))
    return value.clamp(0, 1) * 2 - 1


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """[C,s,s] blurred; sigma in pixels."""
    reach = max(int(3 * sigma + 0.5), 1)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(len(image), 1, -1)
    padded = F.pad(image[None], (reach, reach, reach, reach), mode="reflect")
    across = F.conv2d(padded, kernel[:, :, None, :], groups=len(image))
    return F.conv2d(across, kernel[:, :, :, None], groups=len(image))[0]


def through_jpeg(image: Tensor, quality: int) -> Tensor:
    """[3,s,s] from -1 to 1, as it comes back from a JPEG file of some quality from 1 to 100."""
    file = io.BytesIO()
    pixels = ((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as again:
        return torch.from_numpy(np.asarray(again).copy()).permute(2, 0, 1).float() / 127.5 - 1


def _normal(randoms: list[torch.Generator], count: int) -> Tensor:
    return torch.stack([torch.randn(count, generator=random) for random in randoms])
