"""Tri-planes -> the surface of the head: densities on a grid, marching cubes, colours as seen straight on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from .. import kernels
from ..errors import InputError, MissingDependencyError
from ..types import Mesh, TriPlanes
from .generator import Generator
from .mesh_colours import vertex_colours

LEVEL = 10.0  # density per world unit: half of the light is gone after 7 % of a world unit
_CHUNK = 1 << 18  # points or rays at a time

Progress = Callable[[int, int], None]


@torch.no_grad()
def surface(
    generator: Generator,
    planes: TriPlanes,
    ws: Float[Tensor, "1 l w"],
    *,
    resolution: int = 256,
    level: float | None = None,
    on_progress: Progress | None = None,
) -> Mesh:
    """The largest closed surface of one head, with colours.

    Args:
        generator: its decoder reads the planes.
        planes: of one latent.
        ws: that latent, for super-resolution.
        resolution: grid points along each side of the planes' cube, at least 16; time and memory grow with its cube.
        level: density per world unit at which the surface lies; default `LEVEL`.
        on_progress: called with (slabs done, slabs in all).

    Returns:
        Vertices in world units (x to the head's left, y up, z forwards), triangles counter-clockwise from outside,
        colours in [0,1] as displays show them. Where the head is cut by the cube (neck, shoulders) it is closed flat.

    Raises:
        InputError: several latents, an impossible resolution, or no surface at that level.
        MissingDependencyError: scikit-image is missing.
    """
    if len(planes) != 1:
        raise InputError(f"A mesh is made of one head; got the planes of {len(planes)}.")
    if not 16 <= resolution <= 1024:
        raise InputError(f"The resolution of a mesh lies between 16 and 1024 grid points; got {resolution}.")
    level = LEVEL if level is None else level
    density = densities(generator, planes, resolution, on_progress)
    highest = density.max().item()
    if not 0 < level < highest:
        raise InputError(
            f"There is no surface at density {level:g}; this head's densities reach from 0 to {highest:.1f}."
        )
    step = planes.box_warp / (resolution - 1)
    closed = F.pad(density, (1,) * 6)  # a shell of nothing closes what the cube cuts
    vertices, faces = _marching_cubes(_largest_part(closed.cpu().numpy(), level), level)
    corner = -planes.box_warp / 2 - step
    places = torch.from_numpy(vertices.astype(np.float32)) * step + corner
    places = places.flip(1).clamp(-planes.box_warp / 2, planes.box_warp / 2)  # the grid's axes are z, y, x
    triangles = torch.from_numpy(faces.astype(np.int64))
    if _signed_volume(places, triangles) < 0:
        triangles = triangles.flip(1)
    colors = vertex_colours(generator, planes, ws, places, _vertex_normals(places, triangles))
    return Mesh(places, triangles, colors)


@torch.no_grad()
def densities(
    generator: Generator, planes: TriPlanes, resolution: int, on_progress: Progress | None = None
) -> Float[Tensor, "r r r"]:
    """Density per world unit on a grid over the planes' cube, corners included, axes z, y, x; in main memory.

    Zero outside what a frontal picture shows.
    """
    half, device = planes.box_warp / 2, planes.features.device
    axis = torch.linspace(-half, half, resolution, device=device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.empty(resolution, resolution, resolution)
    slab = max(_CHUNK // resolution**2, 1)
    mlp = generator.decoder.mlp()
    for start in range(0, resolution, slab):
        z = axis[start : start + slab]
        layers = [torch.stack([x, y, depth.expand_as(x)], dim=-1) for depth in z]
        points = torch.stack(layers).reshape(1, -1, 3)
        raw, _ = kernels.query_points(planes.features, planes.plane_axes, mlp, points, planes.box_warp)
        grid[start : start + slab] = F.softplus(raw - 1).reshape(len(z), resolution, resolution).cpu()
        kept = _shown(generator, points[0])
        grid[start : start + slab] *= kept.reshape(len(z), resolution, resolution).cpu()
        if on_progress is not None:
            on_progress(min(start + slab, resolution), resolution)
    return grid


def _shown(generator: Generator, points: Float[Tensor, "p 3"]) -> Float[Tensor, " p"]:
    """1 for what a frontal picture shows, 0 elsewhere: training never looked there, and the planes hold anything."""
    rendering, camera = generator.config.rendering, generator.config.camera_sphere.at(0.0).to(points.device)
    offset = points - camera.position
    x, y, z = (offset @ camera.cam2world[0, :3, :3]).unbind(1)
    inside = torch.maximum(x.abs(), y.abs()) * camera.intrinsics[0, 0, 0] <= 0.5 * z
    if not isinstance(rendering.ray_start, str) and not isinstance(rendering.ray_end, str):
        distance = offset.norm(dim=1)
        inside &= (distance >= rendering.ray_start) & (distance <= rendering.ray_end)
    return inside.to(points)


def _largest_part(density: np.ndarray, level: float) -> np.ndarray:
    """The densities with all but the largest connected part above the level taken away."""
    label = _skimage_measure().label
    parts = label(density > level, connectivity=1)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    others = (parts > 0) & (parts != sizes.argmax())
    return np.where(others, 0.0, density)


def _marching_cubes(density: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    vertices, faces, _, _ = _skimage_measure().marching_cubes(density, level, allow_degenerate=False)
    return vertices, faces


def _skimage_measure():  # type: ignore[no-untyped-def]
    try:
        from skimage import measure
    except ImportError as error:
        raise MissingDependencyError(
            "Making a mesh needs scikit-image, which is missing (marching cubes). Run: pip install scikit-image"
        ) from error
    return measure


def _signed_volume(vertices: Tensor, faces: Tensor) -> float:
    """Positive where the triangles are counter-clockwise from outside."""
    a, b, c = (vertices[faces[:, i]].double() for i in range(3))
    return (a * torch.linalg.cross(b, c)).sum().item() / 6


def _vertex_normals(vertices: Tensor, faces: Tensor) -> Float[Tensor, "v 3"]:
    """Unit normals, the mean of the triangles around weighted by their areas."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    area = torch.linalg.cross(b - a, c - a)
    normals = torch.zeros_like(vertices)
    for i in range(3):
        normals.index_add_(0, faces[:, i], area)
    return F.normalize(normals, dim=1)
