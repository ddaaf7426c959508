"""Measures between images: pixels, perception, identity. Losses and evaluation share them."""

from .face_chip import identity_chip
from .identity import DlibIdentity, embedding_distance, identity_distance
from .perceptual import LPIPS, STLPIPS, PerceptualDistance
from .pixel import l2, psnr, ssim

__all__ = [
    "LPIPS",
    "STLPIPS",
    "DlibIdentity",
    "PerceptualDistance",
    "embedding_distance",
    "identity_chip",
    "identity_distance",
    "l2",
    "psnr",
    "ssim",
]
