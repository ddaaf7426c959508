"""Colours for a mesh: the pictures of views about the front, laid on the vertices that they show."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..camera import Camera
from ..types import Render, TriPlanes
from .generator import Generator
from .rays import Rays
from .renderer import render_rays

VIEWS = ((0.0, 0.0), (-30.0, 0.0), (30.0, 0.0), (-15.0, 12.0), (15.0, 12.0), (0.0, -15.0))  # yaw and pitch, degrees
_NEAR_DEPTH = 0.03  # a vertex is seen if it lies so near the depth that the picture has there, world units
_SOLID = 0.9  # and the head is at least so opaque there
_OUTSIDE, _INSIDE = 0.03, 0.09  # where no view helps: what a ray sees from so far outside to so far inside, world units
_CHUNK = 1 << 14


@torch.no_grad()
def vertex_colours(
    generator: Generator,
    planes: TriPlanes,
    ws: Float[Tensor, "1 l w"],
    vertices: Float[Tensor, "v 3"],
    normals: Float[Tensor, "v 3"],
) -> Float[Tensor, "v 3"]:
    """Colours in [0,1] as displays show them, on the CPU.

    Each vertex takes the mean of the (super-resolved) views that show it, those that look straight at it counting most;
    the rest take the model's own raw colours, as seen from close by.
    """
    device = planes.features.device
    vertices, normals = vertices.to(device), normals.to(device)
    total = torch.zeros_like(vertices)
    weights = torch.zeros(len(vertices), 1, device=device)
    for yaw, pitch in VIEWS:
        camera = generator.config.camera_sphere.at(yaw, pitch).to(device)
        colours, weight = _from_view(generator.render(planes, ws, camera), camera, vertices, normals)
        total += colours * weight
        weights += weight
    own = _from_close_by(generator, planes, vertices, normals)
    share = (weights / 0.2).clamp_max(1)  # fades into the raw colours where the views show little
    return (share * total / weights.clamp_min(1e-6) + (1 - share) * own).clamp(0, 1).cpu()


def _from_view(
    view: Render, camera: Camera, vertices: Tensor, normals: Tensor
) -> tuple[Float[Tensor, "v 3"], Float[Tensor, "v 1"]]:
    """Each vertex's colour in one picture, and how much it counts (0 where the picture does not show it)."""
    offset = vertices - camera.position
    distance = offset.norm(dim=1)
    x, y, z = (offset @ camera.cam2world[0, :3, :3]).unbind(1)
    focal = camera.intrinsics[0, 0, 0]
    place = (2 * focal * torch.stack([x, y], dim=1) / z[:, None])[None, None]  # the frame is -1..1

    def sample(image: Tensor) -> Tensor:
        return F.grid_sample(image, place, mode="bilinear", padding_mode="border", align_corners=False)[0, :, 0].T

    facing = -(offset * normals).sum(1) / distance
    seen = (place[0, 0].abs().amax(1) < 0.98) & (sample(view.opacity)[:, 0] > _SOLID)
    seen &= (sample(view.image_depth)[:, 0] - distance).abs() < _NEAR_DEPTH
    weight = facing.clamp_min(0).square() * seen
    return (sample(view.image) + 1) / 2, weight[:, None]


def _from_close_by(generator: Generator, planes: TriPlanes, vertices: Tensor, normals: Tensor) -> Float[Tensor, "v 3"]:
    """What is seen when each vertex is looked at straight on: raw colours, which exist all round the head."""
    reach = dataclasses.replace(
        generator.config.rendering, ray_start=0.0, ray_end=_OUTSIDE + _INSIDE, clip_to_box=False, white_back=False
    )
    mlp = generator.decoder.mlp()
    colours = []
    for place, inwards in zip(vertices.split(_CHUNK), (-normals).split(_CHUNK), strict=True):
        rays = Rays((place - _OUTSIDE * inwards)[None], inwards[None].contiguous())
        seen = render_rays(planes, mlp, rays, reach)
        colours.append((seen.features[0, :, :3] + 1) / 2 / seen.opacity[0, :, None].clamp_min(1e-3))
    return torch.cat(colours).clamp(0, 1)
