"""A camera that may be corrected a little: turned about the head, and moved in the image plane, both bounded."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..camera import Camera


class CameraOffset(nn.Module):
    """The given cameras, corrected by learned amounts that start at zero and stay within bounds (tanh).

    turn: [N,3], degrees about the world's x, y, z axes through its origin (before the bound).
    shift: [N,2], world units to the camera's right and down (before the bound).
    The distance to the head stays, so the range in which rays are sampled does too.
    """

    def __init__(self, camera: Camera, max_degrees: float, max_shift: float) -> None:
        super().__init__()
        self.camera = camera
        self.max_degrees, self.max_shift = max_degrees, max_shift
        self.turn = nn.Parameter(camera.cam2world.new_zeros(len(camera), 3))
        self.shift = nn.Parameter(camera.cam2world.new_zeros(len(camera), 2))

    def forward(self) -> Camera:
        """The corrected cameras, differentiable in turn and shift."""
        pose = self.camera.cam2world
        turn = torch.deg2rad(_bounded(self.turn, self.max_degrees))
        shift = _bounded(self.shift, self.max_shift)
        rotation = rotation_from_vector(turn) @ pose[:, :3, :3]
        start = pose[:, :3, 3:] + pose[:, :3, :2] @ shift[:, :, None]
        centre = rotation_from_vector(turn) @ start
        top = torch.cat([rotation, centre], 2)
        return Camera(torch.cat([top, pose[:, 3:]], 1), self.camera.intrinsics)


def rotation_from_vector(vector: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 3"]:
    """Rotation matrices of rotation vectors (axis times radians), with the right gradient at zero."""
    x, y, z = vector.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    angle = vector.square().sum(1).clamp_min(1e-12).sqrt()[:, None, None]
    eye = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return eye + angle.sin() / angle * cross + (1 - angle.cos()) / angle.square() * cross @ cross


def angle_between_degrees(a: Camera, b: Camera) -> Float[Tensor, " n"]:
    """By how many degrees b's orientation differs from a's."""
    trace = (a.cam2world[:, :3, :3].mT @ b.cam2world[:, :3, :3]).diagonal(dim1=1, dim2=2).sum(1)
    return torch.rad2deg(torch.acos(((trace - 1) / 2).clamp(-1, 1)))


def _bounded(value: Tensor, bound: float) -> Tensor:
    """Slope one at zero, never beyond +-bound."""
    if bound == 0 or math.isinf(bound):
        return value * 0 if bound == 0 else value
    return bound * torch.tanh(value / bound)
