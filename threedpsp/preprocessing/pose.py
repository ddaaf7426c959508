"""The camera of a photo: from the points of MediaPipe, or from the coefficients of Deep3DFaceRecon.

Both end in the world of the cameras (the module `camera` says which that is). The mean face of the coefficients has its
place there when it is made smaller, by a factor of 0.27, and then moved up by 0.006 and towards the viewer by 0.161.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..camera import FOCAL, RADIUS, Camera, intrinsics_from_focal, look_at
from ..errors import InputError
from .align import TEMPLATE
from .landmark_model import canonical_face
from .pose_model import fit_pose, load_pose_model

PoseConvention = Literal["raw", "orig", "cor", "simplify"]

WORLD_SCALE = 0.27  # EG3D world units per unit of Deep3DFaceRecon
WORLD_SHIFT = (0.0, 0.006, 0.161)
CENTRE_OF_ROTATION = (0.0, 0.0, 0.175)  # of the "cor" convention
DEEP3D_DISTANCE = 10.0  # from Deep3DFaceRecon's camera to its origin
_NOSE = 2  # among the five points


def estimate_camera(points: Float[Tensor, "n 478 2"] | np.ndarray) -> Camera:
    """Cameras that see the points where they were found.

    Fits pose and shape of a small statistical face (see `pose_model.py`) to points that keep their place when the face
    moves; mouth, cheeks and brows do not count. Good to about 3 degrees; a mirrored face gives the mirrored camera.

    Args:
        points: [N,478,2] in the crop divided by its side, x right, y down (so 0..1 inside).

    Returns:
        N cameras, float32, at distance 2.7 from the origin ("orig"), intrinsics of EG3D crops.

    Raises:
        InputError: wrong shape, or numbers that are not finite.
    """
    if isinstance(points, Tensor):
        points = points.detach().cpu().numpy()
    values = np.asarray(points, np.float64)
    if values.ndim != 3 or values.shape[1:] != (478, 2):
        raise InputError(f"estimate_camera needs points [N,478,2]; got {list(values.shape)}.")
    if not np.isfinite(values).all():
        raise InputError("estimate_camera needs finite points.")
    poses = [_cam2world(face) for face in values]
    cam2world = torch.tensor(np.array(poses).reshape(-1, 4, 4), dtype=torch.float32)
    return Camera(cam2world, intrinsics_from_focal(FOCAL).expand(len(poses), 3, 3))


@cache
def canonical_in_world() -> np.ndarray:
    """The canonical face of MediaPipe [468,3], in the world of the cameras."""
    vertices = canonical_face().vertices
    # the template's eyes are the middle of their corners; its nose tip lies between MediaPipe's points 1 and 4
    eyes = vertices[[33, 133]].mean(0), vertices[[263, 362]].mean(0)
    matrix, shift = place_in_world(np.stack([*eyes, vertices[4], vertices[61], vertices[291]]))
    return vertices @ matrix.T + shift


def place_in_world(five: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a symmetric upright head belongs in EG3D's world: its five points on the template's.

    Scale, pitch, and shifts in y and z by least squares; how far up the nose its tip was marked does not count,
    because it differs between landmark definitions and would tilt the head.

    Args:
        five: [5,3], x right, y up, z to the viewer, any unit: middles of the eye corners, nose tip, mouth corners.

    Returns:
        matrix [3,3] (rotation times scale) and shift [3]: world = matrix @ point + shift.
    """
    target = TEMPLATE * WORLD_SCALE + np.array(WORLD_SHIFT)
    rows, values = [], []
    for i, (x, y, z) in enumerate(five):  # unknowns: scale cos(pitch), scale sin(pitch), shift y, shift z
        rows.append([x, 0, 0, 0])  # cos(pitch) is 1 within .3 %
        values.append(target[i, 0])
        if i != _NOSE:
            rows.append([y, -z, 1, 0])
            values.append(target[i, 1])
        rows.append([z, y, 0, 1])
        values.append(target[i, 2])
    cosine, sine, shift_y, shift_z = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    matrix = np.array([[np.hypot(cosine, sine), 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return matrix, np.array([0.0, shift_y, shift_z])


def camera_from_deep3d(
    angle: Float[Tensor, "n 3"], translation: Float[Tensor, "n 3"], convention: PoseConvention = "orig"
) -> Camera:
    """The cameras that follow from the coefficients: from 224 on three angles, from 254 on a translation.

    Args:
        angle: [N,3], in radians, about x, y and z.
        translation: [N,3].
        convention: where the cameras are put. With "orig", at a distance of 2.7 from the origin, as the published
            scripts for own photos do; with "cor", at the same distance from the point that is 0.175 before the origin;
            with "simplify", at that place, but looking at that point; with "raw", where they were fitted.
    """
    if convention not in ("raw", "orig", "cor", "simplify"):
        raise InputError(f"convention must be raw, orig, cor or simplify; got {convention!r}.")
    angle, translation = angle.double(), translation.double()
    rotation = _euler_xyz(angle).transpose(1, 2)
    moved = translation - translation.new_tensor([0, 0, DEEP3D_DISTANCE])
    position = -(rotation @ moved[:, :, None])[:, :, 0] * WORLD_SCALE + translation.new_tensor(WORLD_SHIFT)
    pose = torch.eye(4, dtype=torch.float64, device=angle.device).repeat(len(angle), 1, 1)
    pose[:, :3, :3] = rotation * rotation.new_tensor([1, -1, -1])
    pose[:, :3, 3] = _at_radius(position, convention)
    if convention == "simplify":
        centre = position.new_tensor(CENTRE_OF_ROTATION).expand_as(position)
        pose = look_at(pose[:, :3, 3], centre)
    return Camera(pose.float(), intrinsics_from_focal(FOCAL).to(angle.device).expand(len(angle), 3, 3))


def _at_radius(position: Tensor, convention: PoseConvention) -> Tensor:
    if convention == "raw":
        return position
    if convention == "orig":
        return position / position.norm(dim=1, keepdim=True) * RADIUS
    centre = position.new_tensor(CENTRE_OF_ROTATION)
    offset = position - centre
    return offset / offset.norm(dim=1, keepdim=True) * RADIUS + centre


def _euler_xyz(angle: Tensor) -> Tensor:
    """Rz Ry Rx, right-handed."""
    zero, one = torch.zeros_like(angle[:, 0]), torch.ones_like(angle[:, 0])
    (sx, sy, sz), (cx, cy, cz) = angle.sin().unbind(1), angle.cos().unbind(1)
    rx = torch.stack([one, zero, zero, zero, cx, -sx, zero, sx, cx], 1).reshape(-1, 3, 3)
    ry = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], 1).reshape(-1, 3, 3)
    rz = torch.stack([cz, -sz, zero, sz, cz, zero, zero, zero, one], 1).reshape(-1, 3, 3)
    return rz @ ry @ rx


def _cam2world(points: np.ndarray) -> np.ndarray:
    """[4,4] of one face [478,2]."""
    model = load_pose_model()
    fit = fit_pose(model, points[model.points])
    pose = np.eye(4)
    pose[:3, :3] = fit.rotation.T
    position = -fit.rotation.T @ fit.translation
    pose[:3, 3] = position / np.linalg.norm(position) * RADIUS
    return pose
