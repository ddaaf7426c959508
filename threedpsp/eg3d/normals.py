"""Depth of a render as pictures that other tools take: normals, and near-is-white depth."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..camera import Camera
from .rays import camera_rays

SOLID = 0.5  # opacity from which a pixel shows the head
_BLUR = 2.0  # standard deviation in pixels of a render of 128, before differences are taken
_BLUR_SIDE = 128


def depth_normals(
    depth: Float[Tensor, "n 1 r r"], camera: Camera, opacity: Float[Tensor, "n 1 r r"]
) -> Float[Tensor, "n 3 r r"]:
    """Unit normals of the surface that a render shows, in camera space as normal maps have it.

    Args:
        depth: distance along each ray, world units (`Render.image_depth`).
        camera: N cameras.
        opacity: `Render.opacity`; where it is below .5 there is no surface.

    Returns:
        x to the right, y up, z to the viewer, each in [-1,1]; zero where there is no surface. Depth is smoothed over
        about two pixels of 128 first, for sampled depth is rough.
    """
    n, _, side, _ = depth.shape
    rays = camera_rays(camera.expand(n).to(depth.device), side)
    solid = (opacity >= SOLID).to(depth)
    sigma = _BLUR * side / _BLUR_SIDE
    smooth = _blur(depth * solid, sigma) / _blur(solid, sigma).clamp_min(1e-6)
    smooth = torch.where(solid > 0, smooth, depth)
    origins, directions = (v.reshape(n, side, side, 3) for v in (rays.origins, rays.directions))
    points = (origins + directions * smooth[:, 0, :, :, None]).permute(0, 3, 1, 2)
    padded = F.pad(points, (1, 1, 1, 1), mode="replicate")
    right = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    world = F.normalize(torch.linalg.cross(down, right, dim=1), dim=1)
    seen = torch.einsum("nij,nihw->njhw", camera.expand(n).cam2world[:, :3, :3].to(world), world)
    return seen * seen.new_tensor([1.0, -1.0, -1.0])[:, None, None] * solid


def depth_picture(
    depth: Float[Tensor, "n 1 r r"],
    opacity: Float[Tensor, "n 1 r r"],
    near: float | None = None,
    far: float | None = None,
) -> Float[Tensor, "n 1 r r"]:
    """Depth as depth maps have it: near = 1, far = 0, background = 0.

    Args:
        depth: distance along each ray, world units.
        opacity: the head's; it fades the picture at the edges.
        near: distance that is white; default: the 1st percentile of all pictures, so that a video does not flicker.
        far: distance that is black; default: a tenth beyond the 99th percentile, so that the head stays visible.
    """
    solid = depth[opacity >= SOLID]
    if near is None or far is None:
        if not len(solid):
            return torch.zeros_like(depth)
        ordered = solid.sort().values
        first, last = ordered[len(ordered) // 100].item(), ordered[-1 - len(ordered) // 100].item()
        near = first if near is None else near
        far = last + 0.1 * (last - first) if far is None else far
    closeness = ((far - depth) / max(far - near, 1e-6)).clamp(0, 1)
    return closeness * opacity.clamp(0, 1)


def _blur(x: Float[Tensor, "n 1 r r"], sigma: float) -> Float[Tensor, "n 1 r r"]:
    reach = max(int(3 * sigma), 1)
    offsets = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(x, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel[None, None, None]), kernel[None, None, :, None])
