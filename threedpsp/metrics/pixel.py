"""Measures on pixels: mean squared error, signal to noise, structural similarity.

Each gives one number for every image, and is differentiable. The values of images are from -1 to 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError

PEAK = 2.0  # images span [-1,1]


def l2(a: Float[Tensor, "n c h w"], b: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Mean squared error of each image (images in [-1,1])."""
    _check_pair(a, b)
    return (a - b).square().flatten(1).mean(1)


def psnr(a: Float[Tensor, "n c h w"], b: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Peak signal-to-noise ratio in dB of each image in [-1,1] (peak-to-peak 2), at most 100 dB (equal images)."""
    return 10 * torch.log10(PEAK**2 / l2(a, b).clamp_min(PEAK**2 * 1e-10))


def ssim(
    a: Float[Tensor, "n c h w"], b: Float[Tensor, "n c h w"], *, window: int = 11, sigma: float = 1.5
) -> Float[Tensor, " n"]:
    """The structural similarity of each image, from -1 to 1, as a mean over channels and over windows that lie inside.

    As published (Wang and others, 2004): the window is a Gaussian of that many pixels a side, the two constants are
    0.01 and 0.03, and variances are those of a population.

    Raises:
        InputError: the shapes differ, or an image is smaller than the window.
    """
    _check_pair(a, b)
    if min(a.shape[-2:]) < window:
        raise InputError(f"SSIM needs images of at least {window}x{window} pixels; got {list(a.shape[-2:])}.")
    kernel = _gaussian(window, sigma).to(a)
    mean_a, mean_b = _blur(a, kernel), _blur(b, kernel)
    variance_a = _blur(a * a, kernel) - mean_a**2
    variance_b = _blur(b * b, kernel) - mean_b**2
    covariance = _blur(a * b, kernel) - mean_a * mean_b
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    contrast_structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (luminance * contrast_structure).flatten(1).mean(1)


def _gaussian(window: int, sigma: float) -> Float[Tensor, " k"]:
    offsets = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    return weights / weights.sum()


def _blur(x: Tensor, kernel: Tensor) -> Tensor:
    """Separable filter over the windows that lie inside, each channel by itself."""
    flat = x.flatten(0, 1)[:, None]
    rows = F.conv2d(flat, kernel[None, None, :, None])
    return F.conv2d(rows, kernel[None, None, None, :]).unflatten(0, x.shape[:2]).squeeze(2)


def _check_pair(a: Tensor, b: Tensor) -> None:
    if a.ndim != 4 or a.shape != b.shape:
        raise InputError(f"Image batches [N,C,H,W] of equal shape are compared; got {list(a.shape)}, {list(b.shape)}.")
