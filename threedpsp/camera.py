"""Cameras. The conventions of the whole project are stated here, once.

In the world, y points up, the face looks along z, and the unit is that of the published generators, in which a head is
about 0.6 high. A camera has the axes that are usual in computer vision: x to the right, y down, z forward; the matrix
`cam2world` takes coordinates of the camera to those of the world.
Intrinsics are divided by the side of the image. For crops of faces (`FOCAL`) both focal lengths are 2985.29 / 700, and
the centre is at 0.5 and 0.5.
Cameras sit on a sphere about the origin of the world and look at a pivot: those of face models on the sphere of the
constant `RADIUS` and at the constant `PIVOT`, those of other generators as the sphere in their configuration says.
Yaw and pitch are true angles in degrees; 0 is frontal, and positive angles take the camera to its right, or up.
The conventions are the published ones, checked against recorded poses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from .errors import InputError

RADIUS = 2.7
PIVOT = (0.0, 0.0, 0.2)
FOCAL = 2985.29 / 700  # of the image's side: EG3D crops
LABEL_DIM = 25


@dataclass(frozen=True)
class Camera:
    """N cameras.

    cam2world: [N,4,4], float32, from the coordinates of the camera to those of the world.
    intrinsics: [N,3,3], float32, divided by the side of the image, so that the centre is at 0.5 and 0.5.
    """

    cam2world: Tensor
    intrinsics: Tensor

    def __post_init__(self) -> None:
        n = self.cam2world.shape[0]
        if tuple(self.cam2world.shape) != (n, 4, 4) or tuple(self.intrinsics.shape) != (n, 3, 3):
            raise InputError(
                "Camera needs cam2world [N,4,4] and intrinsics [N,3,3]; "
                f"got {list(self.cam2world.shape)} and {list(self.intrinsics.shape)}."
            )

    def __len__(self) -> int:
        return self.cam2world.shape[0]

    def __getitem__(self, index: int | slice) -> Camera:
        if isinstance(index, int):
            index = slice(index, index + 1 or None)
        return Camera(self.cam2world[index], self.intrinsics[index])

    @cached_property
    def label(self) -> Float[Tensor, "n 25"]:
        """The labels [N,25] of the published code.

        They are the 16 numbers of the matrix to the world, row by row, then the 9 numbers of the intrinsics.
        """
        return torch.cat([self.cam2world.flatten(1), self.intrinsics.flatten(1)], 1)

    @property
    def position(self) -> Float[Tensor, "n 3"]:
        """Camera centres in world units."""
        return self.cam2world[:, :3, 3]

    @property
    def yaw_degrees(self) -> Float[Tensor, " n"]:
        """Angle of the centre about the world's y axis; positive = to the camera's right (+x)."""
        return torch.rad2deg(torch.atan2(self.position[:, 0], self.position[:, 2]))

    @property
    def pitch_degrees(self) -> Float[Tensor, " n"]:
        """Elevation of the centre above the world's xz plane."""
        return torch.rad2deg(torch.asin((self.position[:, 1] / self.position.norm(dim=1)).clamp(-1, 1)))

    def mirrored(self) -> Camera:
        """The camera that sees the horizontally flipped photo: both the world and its axes are mirrored along x."""
        signs = self.cam2world.new_tensor([-1.0, 1.0, 1.0, 1.0])
        return Camera(self.cam2world * signs[:, None] * signs[None, :], self.intrinsics)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Camera:
        """The same cameras on another device or in another dtype."""
        return Camera(self.cam2world.to(device, dtype), self.intrinsics.to(device, dtype))

    def expand(self, n: int) -> Camera:
        """One camera repeated n times (n cameras stay as they are)."""
        return self if len(self) == n else Camera(self.cam2world.expand(n, 4, 4), self.intrinsics.expand(n, 3, 3))

    @staticmethod
    def from_label(label: Float[Tensor, "n 25"]) -> Camera:
        """From EG3D's 25 numbers."""
        if label.ndim != 2 or label.shape[1] != LABEL_DIM:
            raise InputError(f"A camera label has shape [N,25]; got {list(label.shape)}.")
        return Camera(label[:, :16].reshape(-1, 4, 4), label[:, 16:].reshape(-1, 3, 3))

    @staticmethod
    def cat(cameras: list[Camera]) -> Camera:
        """Several cameras, one after another."""
        return Camera(torch.cat([c.cam2world for c in cameras]), torch.cat([c.intrinsics for c in cameras]))

    @staticmethod
    def orbit(
        yaw_degrees: float | Tensor,
        pitch_degrees: float | Tensor = 0.0,
        *,
        radius: float | Tensor = RADIUS,
        pivot: tuple[float, float, float] = PIVOT,
        focal: float = FOCAL,
    ) -> Camera:
        """Cameras on the sphere at true yaw and pitch (degrees, scalars or [N]), looking at `pivot`."""
        yaw, pitch, distance = torch.broadcast_tensors(
            *(torch.atleast_1d(torch.as_tensor(v, dtype=torch.float32)) for v in (yaw_degrees, pitch_degrees, radius))
        )
        yaw, pitch = torch.deg2rad(yaw), torch.deg2rad(pitch)
        position = distance[:, None] * torch.stack(
            [yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()], dim=1
        )
        cam2world = look_at(position, torch.tensor(pivot).expand_as(position))
        return Camera(cam2world, intrinsics_from_focal(focal).expand(len(position), 3, 3))

    @staticmethod
    def frontal() -> Camera:
        """A face model's, at (0,0,2.7), looking at the pivot; see `CameraSphere.frontal` for other generators'."""
        return FACE_SPHERE.frontal()


@dataclass(frozen=True)
class CameraSphere:
    """Where a generator's cameras stand and where they look; by default those of face models."""

    radius: float = RADIUS
    """Of the sphere about the world origin on which they stand, world units."""
    pivot: tuple[float, float, float] = PIVOT
    """The point that they look at, world units."""

    def at(self, yaw_degrees: float | Tensor, pitch_degrees: float | Tensor = 0.0, *, focal: float = FOCAL) -> Camera:
        """Cameras at true yaw and pitch (degrees, scalars or [N])."""
        return Camera.orbit(yaw_degrees, pitch_degrees, radius=self.radius, pivot=self.pivot, focal=focal)

    def frontal(self) -> Camera:
        """The camera of conditions and averages.

        It is on the z axis at the distance of the radius, with the published field of view: 18.837 degrees, which is a
        focal length of 4.2634.
        """
        return self.at(0.0, focal=focal_from_fov_degrees(18.837))


FACE_SPHERE = CameraSphere()


def look_at(position: Float[Tensor, "n 3"], target: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4 4"]:
    """cam2world [N,4,4] of cameras at `position` looking at `target`, world y up (not straight up or down)."""
    forward = torch.nn.functional.normalize(target - position, dim=1)
    up = forward.new_tensor([0.0, 1.0, 0.0]).expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=1)
    down = torch.linalg.cross(forward, right)
    pose = torch.eye(4, dtype=position.dtype, device=position.device).repeat(len(position), 1, 1)
    pose[:, :3] = torch.stack([right, down, forward, position], dim=2)
    return pose


def look_at_warped(
    horizontal_radians: Float[Tensor, " n"],
    vertical_radians: Float[Tensor, " n"],
    *,
    radius: float = RADIUS,
    pivot: tuple[float, float, float] = PIVOT,
) -> Float[Tensor, "n 4 4"]:
    """The published sampler, kept for parity only: its vertical angle v is warped, namely to arccos(1 - 2 v / pi)."""
    theta = math.pi / 2 + horizontal_radians
    v = (math.pi / 2 + vertical_radians).clamp(1e-5, math.pi - 1e-5)
    phi = torch.arccos(1 - 2 * v / math.pi)
    position = radius * torch.stack(
        [phi.sin() * (math.pi - theta).cos(), phi.cos(), phi.sin() * (math.pi - theta).sin()], dim=1
    )
    return look_at(position, position.new_tensor(pivot).expand_as(position))


def focal_from_fov_degrees(fov_degrees: float) -> float:
    """EG3D's diagonal field of view -> focal length over image side, with its truncated constants."""
    return 1 / (math.tan(fov_degrees * 3.14159 / 360) * 1.414)


def intrinsics_from_focal(focal: float = FOCAL) -> Float[Tensor, "1 3 3"]:
    """[1,3,3] normalised intrinsics with the principal point in the middle."""
    return torch.tensor([[[focal, 0.0, 0.5], [0.0, focal, 0.5], [0.0, 0.0, 1.0]]])
