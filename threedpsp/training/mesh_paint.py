"""Values at the points of a face's mesh -> maps over its picture, and the distance of the mesh as one of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..camera import Camera
from ..preprocessing.face_view import box_hits

MAP_SIDE = 128


def depth_maps(points: Tensor, mesh: Tensor, camera: Camera, triangles: Tensor) -> Tensor:
    """Distance along the rays to meshes.

    Args:
        points: [N,468,2] or more points, where the photos show the meshes' points, in units of their sides.
        mesh: [N,468,3], in units of the world.
        camera: N cameras.
        triangles: [T,3], numbers of their corners.

    Returns:
        [N,128,128] float16; 0 where the mesh is not met.
    """
    distance = (mesh - camera.position[:, None]).norm(dim=2).numpy()
    places = points[:, : mesh.shape[1]].numpy()
    corners = triangles.numpy()
    maps = [paint(xy, far, corners, far[:, None], MAP_SIDE)[1] for xy, far in zip(places, distance, strict=True)]
    return torch.from_numpy(np.concatenate(maps, 2).transpose(2, 0, 1)).half()


def paint(
    points: np.ndarray, distance: np.ndarray, triangles: np.ndarray, values: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Triangles painted over one another from the farthest to the nearest, values linear between their corners.

    Args:
        points: [V,2], in units of the side.
        distance: [V], of the points from the camera.
        triangles: [T,3], numbers of their corners.
        values: [V,K].
        side: of the maps.

    Returns:
        bool [side,side], where there is a triangle; float32 [side,side,K], 0 where there is none.
    """
    triangles = triangles[np.argsort(-distance[triangles].sum(1), kind="stable")]
    corners = (points[triangles] * side).astype(np.float32)
    pixel, triangle = (t.numpy() for t in box_hits(torch.from_numpy(corners), side))
    (ax, ay), (bx, by), (cx, cy) = corners.transpose(1, 2, 0)
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    area = np.where(np.abs(area) < 1e-9, np.float32(1e-9), area)
    # the weights of the second and the third corner are linear in the pixel's place
    second = np.stack([cy - ay, ax - cx, ay * (cx - ax) - ax * (cy - ay)]) / area
    third = np.stack([ay - by, bx - ax, ax * (by - ay) - ay * (bx - ax)]) / area
    x, y = pixel % side + np.float32(0.5), pixel // side + np.float32(0.5)
    u = second[0][triangle] * x + second[1][triangle] * y + second[2][triangle]
    v = third[0][triangle] * x + third[1][triangle] * y + third[2][triangle]
    inside = np.flatnonzero((u >= -1e-3) & (v >= -1e-3) & (u + v <= 1 + 1e-3))
    last = np.full(side * side, -1, np.int64)
    last[pixel[inside]] = inside  # of several the last one stays, which is the nearest
    at = np.flatnonzero(last >= 0)
    hit = last[at]
    a, b, c = (values[corner].astype(np.float32) for corner in triangles[triangle[hit]].T)
    maps = np.zeros((side * side, values.shape[1]), np.float32)
    maps[at] = a + u[hit, None] * (b - a) + v[hit, None] * (c - a)
    return (last >= 0).reshape(side, side), maps.reshape(side, side, -1)
