"""What of the canonical face a photo shows: for each pixel the surface seen, its slant, and its mirror point.

Where the surface lies in the photo comes from the landmarks; how far away it is and which way it faces, from the
canonical face under the photo's camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..camera import Camera
from .landmark_model import canonical_face, mirror_index
from .pose import canonical_in_world

MESH_POINTS = 468
SAME_SURFACE = 0.02  # world units (7 mm on a face): nearer to the camera than this is another surface, in front


@dataclass(frozen=True)
class FaceMesh:
    """The canonical face: vertices (in units of the world) and normals [468,3], triangles [T,3], mirror [468].

    The mirror leads from every vertex to the twin on the other side.
    """

    vertices: Float[Tensor, "v 3"]
    normals: Float[Tensor, "v 3"]
    triangles: Int[Tensor, "t 3"]
    mirror: Int[Tensor, " v"]


@dataclass(frozen=True)
class FaceView:
    """Maps [S,S] over one photo. Values off the face mean nothing.

    face: whether the face's surface is seen there. cosine: between its normal and the direction to the camera.
    twin: [S,S,2], where the photo shows the surface point's mirror twin, in units of the side (0..1).
    twin_cosine: the same cosine for the twin. twin_hidden: whether something of the face stands before the twin.
    """

    face: Bool[Tensor, "s s"]
    cosine: Float[Tensor, "s s"]
    twin: Float[Tensor, "s s 2"]
    twin_cosine: Float[Tensor, "s s"]
    twin_hidden: Bool[Tensor, "s s"]


@cache
def face_mesh(device: torch.device) -> FaceMesh:
    """The canonical face with its normals."""
    vertices = torch.tensor(canonical_in_world(), dtype=torch.float32)
    triangles = torch.tensor(canonical_face().triangles)
    a, b, c = vertices[triangles].unbind(1)
    area_normals = torch.linalg.cross(b - a, c - a)
    normals = torch.zeros_like(vertices)
    for corner in triangles.unbind(1):
        normals.index_add_(0, corner, area_normals)
    mirror = torch.tensor(mirror_index()[:MESH_POINTS])
    parts = (vertices, F.normalize(normals, dim=1), triangles, mirror)
    return FaceMesh(*(part.to(device) for part in parts))


def view_face(points: Float[Tensor, "v 2"], camera: Camera, side: int) -> FaceView:
    """Draw the face into maps of `side` x `side` pixels.

    Args:
        points: [468,2], where the photo shows the canonical points, in units of its side (0..1 inside).
        camera: the photo's (one).
        side: of the maps.
    """
    mesh = face_mesh(points.device)
    towards = camera.position.to(points)[0] - mesh.vertices
    cosine = (mesh.normals * F.normalize(towards, dim=1)).sum(1)
    depth = -towards @ camera.cam2world.to(points)[0, :3, 2]
    face, corners, weights, nearest = _draw(points * side, depth, mesh.triangles, side)

    def spread(values: Tensor) -> Tensor:
        """Values at the vertices [V,K] -> over the map [S,S,K]."""
        return (values[corners] * weights[..., None]).sum(1).unflatten(0, (side, side))

    at_twin = torch.stack([cosine[mesh.mirror], depth[mesh.mirror]], 1)
    twin = spread(points[mesh.mirror])
    twin_cosine, twin_depth = spread(at_twin).unbind(2)
    return FaceView(
        face=face.unflatten(0, (side, side)),
        cosine=spread(cosine[:, None])[..., 0],
        twin=twin,
        twin_cosine=twin_cosine,
        twin_hidden=twin_depth - sample(nearest.reshape(1, side, side), twin)[0] > SAME_SURFACE,
    )


def sample(image: Float[Tensor, "c s1 s2"], at: Float[Tensor, "h w 2"]) -> Float[Tensor, "c h w"]:
    """Bilinear values at positions in units of the side (0..1); beyond the border, the border's."""
    return F.grid_sample(image[None], at[None] * 2 - 1, align_corners=False, padding_mode="border")[0]


def pixel_centres(side: int, like: Tensor) -> Float[Tensor, "s s 2"]:
    """Positions (x, y) of a map's pixels in units of its side, on the device and in the dtype of `like`."""
    steps = (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) / side
    return torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)


def _draw(points: Tensor, depth: Tensor, triangles: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Nearest triangle at each of the S*S pixel centres: found [P], its corners [P,3], weights [P,3], depth [P].

    points: in pixels. Where no triangle is, the depth is that of the farthest vertex.
    """
    centres = pixel_centres(side, points).reshape(-1, 2) * side
    pixel, triangle = box_hits(points[triangles], side)
    a, b, c = points[triangles[triangle]].unbind(1)
    ab, ac, ap = b - a, c - a, centres[pixel] - a
    twice_area = _cross(ab, ac)
    twice_area = torch.where(twice_area.abs() < 1e-9, torch.full_like(twice_area, 1e-9), twice_area)
    second, third = _cross(ap, ac) / twice_area, _cross(ab, ap) / twice_area
    weights = torch.stack([1 - second - third, second, third], 1)
    inside = weights.amin(1) >= -1e-4
    pixel, triangle, weights = pixel[inside], triangle[inside], weights[inside]

    depths = (weights * depth[triangles[triangle]]).sum(1)
    nearest = depth.max().expand(side * side).scatter_reduce(0, pixel, depths, "amin")
    first = depths <= nearest[pixel]
    hit = torch.full_like(nearest, len(depths), dtype=torch.long)
    hit = hit.scatter_reduce(0, pixel[first], first.nonzero()[:, 0], "amin")  # of equally near ones the first
    found = hit < len(depths)
    corners = torch.zeros_like(found, dtype=torch.long)[:, None].repeat(1, 3)
    spread = torch.zeros_like(nearest)[:, None].repeat(1, 3)
    corners[found], spread[found] = triangles[triangle[hit[found]]], weights[hit[found]]
    return found, corners, spread, nearest


def box_hits(corners: Float[Tensor, "t 3 2"], side: int) -> tuple[Tensor, Tensor]:
    """All pairs (pixel, triangle) such that the pixel's centre lies in the triangle's bounding box."""
    # of each triangle: the first row and column whose centres are in its box, and how many of each
    first = (corners.amin(1) - 1e-3 - 0.5).ceil().clamp(0, side).long()
    count = ((corners.amax(1) + 1e-3 - 0.5).floor().clamp(-1, side - 1).long() + 1 - first).clamp_min(0)  # [T,2]
    hits = count.prod(1)
    triangle = torch.arange(len(corners), device=corners.device).repeat_interleave(hits)
    within = torch.arange(len(triangle), device=corners.device) - (hits.cumsum(0) - hits)[triangle]
    column = first[triangle, 0] + within % count[triangle, 0]
    row = first[triangle, 1] + within // count[triangle, 0]
    return row * side + column, triangle


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
