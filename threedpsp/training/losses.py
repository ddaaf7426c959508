"""What the tiny generator is told about shape, and the image losses it shares with its encoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import kernels
from ..camera import Camera
from ..eg3d.generator import Generator
from ..eg3d.rays import camera_rays
from ..types import TriPlanes
from .batches import IMAGE_SIDE, PortraitBatch

BEHIND, BEFORE = -0.25, 0.12  # hair and clothes lie between these z, world units
OCCIPUT = -0.26  # no head is longer than that
NOSE_TIP = 0.35  # no face reaches further towards the camera
SHOULDERS = -0.2  # below this y, what the frame cuts off may go on


Window = tuple[slice, slice]
"""Rows and columns of an image."""
WHOLE: Window = (slice(None), slice(None))


def cut(x: Tensor, window: Window) -> Tensor:
    """A window of [N,C,H,W]."""
    return x[:, :, window[0], window[1]]


def shrink(x: Tensor, side: int) -> Tensor:
    """[N,C,128,128] -> [N,C,side,side], area mean."""
    return F.avg_pool2d(x, IMAGE_SIDE // side) if side < IMAGE_SIDE else x


def soften_small(image: Tensor, large: Tensor) -> Tensor:
    """[N,C,h,w]: where `large` [N] is not set, only what half the resolution holds is left."""
    coarse = F.interpolate(F.avg_pool2d(image, 2), scale_factor=2, mode="bilinear", align_corners=False)
    return torch.where(large[:, None, None, None], image, coarse)


def face_depth(batch: PortraitBatch, side: int) -> tuple[Tensor, Tensor]:
    """Depth and where it is known, both [N,1,side,side]."""
    share = shrink(batch.face, side)
    known = (share > 0.99).float()
    return shrink(batch.depth * batch.face, side) / share.clamp_min(0.5), known


def surface_loss(opacity: Tensor, depth: Tensor, batch: PortraitBatch, side: int, window: Window = WHOLE) -> Tensor:
    """Opacity as the person mask, depth as the face mesh, the rest of the person within a slab.

    opacity, depth: [N,1,h,w] rendered from the batch's camera: a window of side x side rays.
    """
    mask = cut(shrink(batch.mask, side), window)
    target_depth, known = (cut(t, window) for t in face_depth(batch, side))
    silhouette = (opacity - mask).square().mean()
    face = ((depth - target_depth).abs() * known).mean()
    rays = camera_rays(batch.camera, side, *window)
    z = rays.origins[..., 2] + rays.directions[..., 2] * depth.flatten(1)
    person = ((mask > 0.9).float() * (1 - known)).flatten(1)
    slab = ((F.relu(BEHIND - z) + F.relu(z - BEFORE)) * person).mean()
    return silhouette + 8 * face + slab


def smooth_loss(depth: Tensor, batch: PortraitBatch, side: int, window: Window = WHOLE) -> Tensor:
    """No steps in the person's depth [N,1,h,w] beside the mesh: hair and ears go on where the face ends."""
    person = (cut(shrink(batch.mask, side), window) > 0.9).float()
    beside = 1 - cut(face_depth(batch, side)[1], window)
    total = depth.new_zeros([])
    for axis in (2, 3):
        length = depth.shape[axis] - 2
        before, here, after = (depth.narrow(axis, i, length) for i in range(3))
        inside = person.narrow(axis, 0, length) * person.narrow(axis, 2, length) * beside.narrow(axis, 1, length)
        total = total + ((before - 2 * here + after).abs() * inside).mean()
    return total


def floater_loss(opacity: Tensor, depth: Tensor, camera: Camera, batch: PortraitBatch) -> Tensor:
    """What a view that no photo shows must not see: anything where the head cannot be.

    opacity, depth: [1,1,r,r] of the batch's first portrait from `camera`.
    """
    rays = camera_rays(camera, depth.shape[-1])
    points = rays.origins + rays.directions * depth.detach().flatten(1)[..., None]
    return (opacity.flatten(1) * impossible(points, batch.mask[:1], batch.camera[:1])).mean()


def impossible(points: Tensor, mask: Tensor, camera: Camera) -> Tensor:
    """[N,P] bool: which world points [N,P,3] are none of the person's.

    The photo (mask [N,1,R,R], camera) shows background there, or they lie beside its frame above the shoulders, or
    behind or before the head.
    """
    seen = projected(points, camera, 1) * 2 - 1
    person = F.grid_sample(mask, seen[:, :, None], align_corners=False)[:, 0, :, 0]
    framed = (seen.abs() < 1).all(-1)
    empty = torch.where(framed, person < 0.02, points[..., 1] > SHOULDERS)
    return empty | (points[..., 2] < OCCIPUT) | (points[..., 2] > NOSE_TIP)


def roughness_loss(planes: TriPlanes) -> Tensor:
    """Mean absolute second difference of the planes' features along rows and columns, in their standard deviations."""
    features = planes.features
    spread = features.detach().std().clamp_min(1e-3)
    total = features.new_zeros([])
    for axis in (2, 3):
        length = features.shape[axis] - 2
        before, here, after = (features.narrow(axis, i, length) for i in range(3))
        total = total + (before - 2 * here + after).abs().mean()
    return total / spread


def backdrop_loss(planes: TriPlanes, batch: PortraitBatch) -> Tensor:
    """The background's colours as around the person, and all its features smooth where the person hides it."""
    assert planes.background is not None
    side = 32
    features = F.adaptive_avg_pool2d(planes.background, side)
    colour = (features[:, :3] * 2 - 1 - shrink(batch.backdrop, side)).abs().mean()
    hidden = shrink(batch.mask, side)
    steps_x = (features[..., 1:] - features[..., :-1]).abs() * hidden[..., 1:]
    steps_y = (features[..., 1:, :] - features[..., :-1, :]).abs() * hidden[..., 1:, :]
    return colour + steps_x.mean() + steps_y.mean()


def shell_loss(generator: Generator, planes: TriPlanes, mesh: Tensor, random: torch.Generator) -> Tensor:
    """Empty just outside the surface of the face, dense just inside; the mesh [N,468,3] is in units of the world."""
    n, points = len(mesh), 384
    pick = torch.randint(0, mesh.shape[1], (n, points), generator=random).to(mesh.device)
    surface = mesh.gather(1, pick[..., None].expand(-1, -1, 3))
    outward = F.normalize(surface - surface.new_tensor([0.0, 0.0, 0.02]), dim=-1)
    draw = torch.rand(2, n, points, 1, generator=random).to(mesh)
    outside = surface + outward * (0.02 + 0.12 * draw[0])
    inside = surface - outward * (0.01 + 0.05 * draw[1])
    raw, _ = kernels.query_points(
        planes.features,
        planes.plane_axes,
        generator.decoder.mlp(),
        torch.cat([outside, inside], 1),
        planes.box_warp,
    )
    sigma = F.softplus(raw[..., 0] - 1)
    return 0.002 * sigma[:, :points].mean() + 0.002 * F.relu(60 - sigma[:, points:]).mean()


def hull_loss(generator: Generator, planes: TriPlanes, batch: PortraitBatch, random: torch.Generator) -> Tensor:
    """Nothing at random points where the head cannot be (see `impossible`)."""
    n, points, half = len(planes), 512, planes.box_warp / 2
    place = (torch.rand(n, points, 3, generator=random) * 2 - 1) * half
    place[:, ::4, 2] = OCCIPUT - (half + OCCIPUT) * torch.rand(n, points // 4, generator=random)
    place[:, 1::8, 2] = NOSE_TIP + (half - NOSE_TIP) * torch.rand(n, points // 8, generator=random)
    place = place.to(batch.mask)
    raw, _ = kernels.query_points(planes.features, planes.plane_axes, generator.decoder.mlp(), place, planes.box_warp)
    empty = impossible(place, batch.mask, batch.camera)
    return 0.05 * (F.softplus(raw[..., 0] - 1) * empty).mean()


def solid_loss(opacity: Tensor) -> Tensor:
    """Rays should hit or miss: opacity (1 - opacity), for views that no photo shows."""
    return (opacity * (1 - opacity)).mean()


def projected(points: Tensor, camera: Camera, side: int) -> Tensor:
    """World points [N,P,3] -> pixels [N,P,2] of an image of that side."""
    rotation, position = camera.cam2world[:, :3, :3], camera.position
    seen = (points - position[:, None]) @ rotation
    focal = camera.intrinsics[:, None, :1, 0]
    return (seen[..., :2] / seen[..., 2:] * focal + 0.5) * side
