"""Whether the depths of two views tell of one surface: points of the one, looked up in the other."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..camera import Camera
from ..eg3d.rays import camera_rays
from ..types import Render

SOLID = 0.9  # opacity from which a pixel counts as surface
BEHIND = 0.02  # of the distance: what lies deeper behind another point of the same view, in the same pixel, is hidden
FEWEST = 16  # points; from fewer, nothing is told


@torch.no_grad()
def depth_disagreement(own: Render, own_camera: Camera, other: Render, other_camera: Camera) -> float:
    """Median of |distance told by the one view - depth in the other| / distance, in percent, over visible points.

    Every solid pixel of `own` is a point, lifted with its depth along its ray, and projected into `other`, where it
    should lie at that view's depth (nearest pixel). Points that others of `own` hide there do not count, nor do those
    that leave the picture or meet no solid pixel. 0 = one surface; a cloud of density, or a surface that is another in
    each view, gives more. Not a number where fewer than 16 points are left.

    Args:
        own: one view, [1,...].
        own_camera: its camera.
        other: a second view of the same head.
        other_camera: its camera.
    """
    side = own.image_depth.shape[-1]
    own_camera, other_camera = (c.to(own.image_depth.device) for c in (own_camera, other_camera))
    rays = camera_rays(own_camera, side)
    solid = own.opacity[0, 0].flatten() > SOLID
    points = (rays.origins + rays.directions * own.image_depth[0, 0].flatten()[:, None])[0, solid]
    pixel, distance, inside = project(points, other_camera, side)
    depth, opacity = other.image_depth[0, 0].flatten(), other.opacity[0, 0].flatten()
    counted = inside & _in_front(pixel, distance, inside, side * side) & (opacity[pixel] > SOLID)
    if counted.sum() < FEWEST:
        return float("nan")
    distance, pixel = distance[counted], pixel[counted]
    return 100 * ((distance - depth[pixel]).abs() / distance).median().item()


def project(
    points: Float[Tensor, "p 3"], camera: Camera, side: int
) -> tuple[Tensor, Float[Tensor, " p"], Bool[Tensor, " p"]]:
    """(number of the pixel, row major; distance to the camera's centre; whether it is inside the picture)."""
    matrix, intrinsics = camera.cam2world[0], camera.intrinsics[0]
    seen = (points - matrix[:3, 3]) @ matrix[:3, :3]  # in camera axes
    flat = (seen / seen[:, 2:].clamp_min(1e-6)) @ intrinsics.T
    column, row = (flat[:, :2] * side).floor().long().unbind(1)
    inside = (seen[:, 2] > 0) & (column >= 0) & (column < side) & (row >= 0) & (row < side)
    pixel = row.clamp(0, side - 1) * side + column.clamp(0, side - 1)
    return pixel, (points - matrix[:3, 3]).norm(dim=1), inside


def _in_front(pixel: Tensor, distance: Tensor, inside: Tensor, pixels: int) -> Tensor:
    """Which points no other of the same view hides."""
    nearest = torch.full((pixels,), torch.inf, device=distance.device)
    nearest.scatter_reduce_(0, pixel[inside], distance[inside], "amin")
    return distance <= nearest[pixel] * (1 + BEHIND)
