"""Pictures of what preparing a photo found: landmarks and axes, and the confidence map as colours."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from ..camera import PIVOT, Camera
from ..types import FaceCrop
from .images import to_uint8

AXIS_LENGTH = 0.18  # world units; the head is about .6 high
_AXES = ((0, (235, 64, 52)), (1, (70, 200, 90)), (2, (64, 120, 245)))  # world axis and colour
_POINT = (90, 220, 255)
_HEAT = ((24, 20, 70), (74, 24, 110), (160, 40, 96), (226, 86, 44), (250, 164, 32), (252, 252, 160))


def pose_overlay(crop: FaceCrop) -> Float[Tensor, "n 3 r r"]:
    """The crops with landmarks (dots) and the head's axes: red to its left (+x), green up, blue forwards."""
    pictures = [
        _draw(picture, None if crop.landmarks is None else crop.landmarks[i].cpu().numpy(), crop.camera[i])
        for i, picture in enumerate(to_uint8(crop.image))
    ]
    return _from_uint8(pictures)


def heat_overlay(image: Float[Tensor, "n 3 r r"], heat: Float[Tensor, "n r r"]) -> Float[Tensor, "n 3 r r"]:
    """Values in [0,1] as colours (dark violet = 0, red and yellow = 1) over the grey picture, in [-1,1]."""
    stops = np.linspace(0, 1, len(_HEAT))
    values = heat.detach().float().clamp(0, 1).cpu().numpy()
    colours = np.stack([np.interp(values, stops, [c[i] for c in _HEAT]) for i in range(3)], axis=-1)
    grey = to_uint8(image).astype(np.float32).mean(-1, keepdims=True)
    return _from_uint8(list((0.65 * colours + 0.35 * grey).round().astype(np.uint8)))


def _draw(picture: np.ndarray, points: np.ndarray | None, camera: Camera) -> np.ndarray:
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    side = picture.shape[0]
    dot = max(side / 512, 0.75)
    for x, y in points if points is not None else ():
        draw.ellipse((x - dot, y - dot, x + dot, y + dot), fill=_POINT)
    origin = np.array(PIVOT)
    start = _project(camera, origin) * side
    for axis, colour in _AXES:
        end = _project(camera, origin + AXIS_LENGTH * np.eye(3)[axis]) * side
        draw.line((*start, *end), fill=colour, width=max(round(side / 128), 1))
    return np.asarray(canvas)


def _project(camera: Camera, point: np.ndarray) -> np.ndarray:
    """A world point's place in the picture, 0..1."""
    cam2world = camera.cam2world[0].double().cpu().numpy()
    x, y, z = cam2world[:3, :3].T @ (point - cam2world[:3, 3])
    fx, fy, cx, cy = (camera.intrinsics[0, i, j].item() for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return np.array([fx * x / z + cx, fy * y / z + cy])


def _from_uint8(pictures: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
