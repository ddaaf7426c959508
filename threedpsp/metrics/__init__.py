"""Measures between images: pixels, perception, identity. Losses and evaluation share them."""

from .arcface import ArcFaceIdentity, id_loss
from .face_chip import identity_chip
from .identity import DlibIdentity, embedding_distance, identity_distance
from .perceptual import LPIPS, STLPIPS, PerceptualDistance
from .pixel import l2, psnr, ssim

__all__ = [
    "LPIPS",
    "STLPIPS",
    "ArcFaceIdentity",
    "DlibIdentity",
    "PerceptualDistance",
    "embedding_distance",
    "id_loss",
    "identity_chip",
    "identity_distance",
    "l2",
    "psnr",
    "ssim",
]
