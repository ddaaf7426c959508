"""Skin: its colour, and carrying a changed colour on to neck and ears."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from .people import GREY, SKIN, colours_at

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def soft(picture: np.ndarray, share: float) -> np.ndarray:
    """Blurred by a standard deviation that is a share of the side; [s,s,C]."""
    sigma = share * picture.shape[0]
    return gaussian_filter(picture, (sigma, sigma, 0), mode="nearest", truncate=2.5)


def skin_colour(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """[3], the median over cheeks and nose of a picture [s,s,3] with points [478,2] in units of its side."""
    return np.median(colours_at(soft(picture, 0.01), points[list(SKIN)]), axis=0).clip(0.02, 1)


def is_grey(colour: np.ndarray) -> bool:
    """Whether a skin's colour [3] is that of a black-and-white photo."""
    return float(np.ptp(colour)) < GREY


def grey(picture: np.ndarray) -> np.ndarray:
    """Without colour."""
    return np.repeat((picture @ LUMA)[..., None], 3, axis=2)


def skin_likeness(picture: np.ndarray, colour: np.ndarray, person: np.ndarray) -> np.ndarray:
    """[s,s] from 0 to 1: where a person's pixels have the hue of the skin, in light or shade.

    picture: [s,s,3]. colour: [3], the skin's. person: [s,s], 1 where the person is.
    """
    log = np.log(soft(picture, 0.004).clip(0.02, 1)) - np.log(colour)
    light = log.mean(2)
    hue = np.linalg.norm(log - light[..., None], axis=2)
    likeness = np.exp(-0.5 * (hue / 0.16) ** 2 - 0.5 * (light / 0.55) ** 2)
    return soft((likeness * person)[..., None], 0.006)[..., 0]
