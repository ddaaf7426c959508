"""Image points onto the rendered surface and into other views: where the photo's landmarks are when the head turns."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..camera import Camera


def lift_points(
    points: Float[Tensor, "n p 2"], depth: Float[Tensor, "n 1 r r"], camera: Camera
) -> Float[Tensor, "n p 3"]:
    """World points where the rays through image points end at the rendered depth.

    Args:
        points: in the image divided by its side, x right, y down; beyond the image the border's depth counts.
        depth: distance along the ray, world units.
        camera: N cameras, the ones that `depth` was rendered from.
    """
    distance = F.grid_sample(
        depth, (points * 2 - 1)[:, None], mode="bilinear", padding_mode="border", align_corners=False
    )[:, 0, 0, :, None]
    intrinsics = camera.intrinsics
    focal = torch.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1]], 1)[:, None]
    xy = (points - intrinsics[:, None, :2, 2]) / focal
    directions = F.normalize(torch.cat([xy, torch.ones_like(xy[..., :1])], 2), dim=2)
    return camera.position[:, None] + distance * (directions @ camera.cam2world[:, :3, :3].mT)


def project_points(world: Float[Tensor, "n p 3"], camera: Camera) -> Float[Tensor, "n p 2"]:
    """Where N cameras see world points in front of them, in the image divided by its side."""
    seen = (world - camera.position[:, None]) @ camera.cam2world[:, :3, :3]
    intrinsics = camera.intrinsics
    focal = torch.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1]], 1)[:, None]
    return seen[..., :2] / seen[..., 2:].clamp_min(1e-6) * focal + intrinsics[:, None, :2, 2]
