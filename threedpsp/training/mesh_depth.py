"""How far away the mesh of a face is, pixel by pixel."""

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
    distance = (mesh - camera.position[:, None]).norm(dim=2)
    pixels = points[:, : mesh.shape[1]] * MAP_SIDE
    maps = [_depth_map(xy, far, triangles) for xy, far in zip(pixels, distance, strict=True)]
    return torch.from_numpy(np.stack(maps)).half()


def _depth_map(xy: Tensor, distance: Tensor, triangles: Tensor) -> np.ndarray:
    """[128,128]: triangles painted over one another from the farthest to the nearest; xy [468,2] in pixels."""
    far_first = distance[triangles].sum(1).argsort(descending=True)
    triangles = triangles[far_first]
    corners = xy[triangles]
    pixel, triangle = (t.numpy() for t in box_hits(corners, MAP_SIDE))
    (ax, ay), (bx, by), (cx, cy) = corners.permute(1, 2, 0).numpy()
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    area = np.where(np.abs(area) < 1e-9, 1e-9, area)
    far_a, far_b, far_c = distance[triangles].T.numpy()
    # the second and third weight, and the distance, are linear in the pixel's place: a table of each, then one product
    second = np.stack([(cy - ay) / area, -(cx - ax) / area, (ay * (cx - ax) - ax * (cy - ay)) / area])
    third = np.stack([-(by - ay) / area, (bx - ax) / area, (ax * (by - ay) - ay * (bx - ax)) / area])
    x, y = pixel % MAP_SIDE + np.float32(0.5), pixel // MAP_SIDE + np.float32(0.5)
    u = second[0][triangle] * x + second[1][triangle] * y + second[2][triangle]
    v = third[0][triangle] * x + third[1][triangle] * y + third[2][triangle]
    inside = np.flatnonzero((u >= -1e-3) & (v >= -1e-3) & (u + v <= 1 + 1e-3))
    hit, u, v = triangle[inside], u[inside], v[inside]
    depth = np.zeros(MAP_SIDE * MAP_SIDE, np.float32)
    depth[pixel[inside]] = far_a[hit] + u * (far_b - far_a)[hit] + v * (far_c - far_a)[hit]  # the last one stays
    return depth.reshape(MAP_SIDE, MAP_SIDE)
