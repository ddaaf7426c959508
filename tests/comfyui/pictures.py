"""What a workflow has made, as arrays, and how it compares with the photos, by threedpsp's own measures."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

import threedpsp
from threedpsp.evaluation.identity import DlibMeasure
from threedpsp.types import FaceCrop


def frames_of(video: bytes) -> np.ndarray:
    """Every frame of a video file [F,H,W,3], decoded."""
    with av.open(io.BytesIO(video)) as opened:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)])


def picture_of(file: bytes) -> np.ndarray:
    """A picture file [H,W,3]."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two pictures, in levels of 255."""
    return float(np.abs(a.astype(np.float32) - b.astype(np.float32)).mean())


def smallest_step(frames: np.ndarray) -> float:
    """The smallest difference of a frame from the one before it."""
    return min(difference(a, b) for a, b in zip(frames, frames[1:], strict=False))


@lru_cache
def aligned(photo: Path) -> FaceCrop:
    """The photo's crop, as Align makes it."""
    return threedpsp.align([photo])


def own_view_figures(photo: Path, picture: np.ndarray) -> dict[str, float]:
    """psnr, ssim, lpips, identity of a picture from the photo's own camera: what the node Evaluate says."""
    return threedpsp.compare(aligned(photo), to_core(picture)).means


def identity(photo: Path, picture: np.ndarray) -> float:
    """dlib's distance between a photo's face and a picture's, wherever that one looks; below .6 is the same person."""
    return _measure().novel_distance(to_core(picture), _embedding(photo))


def to_core(picture: np.ndarray) -> Tensor:
    """[H,W,3] in 0..255 -> [1,3,H,W] in [-1,1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float().div(127.5).sub(1)


@lru_cache
def _measure() -> DlibMeasure:
    return DlibMeasure(torch.device("cpu"))


@lru_cache
def _embedding(photo: Path) -> Tensor:
    crop = aligned(photo)
    return _measure().of_photo(crop.image, crop)
