"""Camera and resolution -> rays."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..camera import Camera


@dataclass(frozen=True)
class Rays:
    """origins, directions: [N,M,3], directions of unit length, row major (x fastest)."""

    origins: Tensor
    directions: Tensor


def camera_rays(camera: Camera, resolution: int, rows: slice = slice(None), columns: slice = slice(None)) -> Rays:
    """Rays through pixel centres ((i + .5) / resolution) of the image, or of a rectangle of it."""
    matrix, intrinsics = camera.cam2world, camera.intrinsics
    centres = (torch.arange(resolution, device=matrix.device, dtype=matrix.dtype) + 0.5) / resolution
    y, x = torch.meshgrid(centres[rows], centres[columns], indexing="ij")
    x, y = x.reshape(1, -1), y.reshape(1, -1)  # [1,M]
    fx, fy, skew = intrinsics[:, 0, 0, None], intrinsics[:, 1, 1, None], intrinsics[:, 0, 1, None]
    cx, cy = intrinsics[:, 0, 2, None], intrinsics[:, 1, 2, None]
    y_camera = (y - cy) / fy
    x_camera = (x - cx - skew * y_camera) / fx
    directions = torch.stack([x_camera, y_camera, torch.ones_like(x_camera)], dim=-1)  # [N,M,3]
    directions = torch.nn.functional.normalize(directions @ matrix[:, :3, :3].transpose(1, 2), dim=-1)
    origins = matrix[:, None, :3, 3].expand_as(directions)
    return Rays(origins, directions)
