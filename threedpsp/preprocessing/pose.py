"""The camera of a photo: from MediaPipe's points, or from Deep3DFaceRecon's coefficients.

Both end in EG3D's world (see `camera.py`): the mean face of Deep3DFaceRecon times .27, moved by (0, .006, .161).
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
from .align import TEMPLATE, five_points
from .landmark_model import canonical_face

PoseConvention = Literal["raw", "orig", "cor", "simplify"]

WORLD_SCALE = 0.27  # EG3D world units per unit of Deep3DFaceRecon
WORLD_SHIFT = (0.0, 0.006, 0.161)
CENTRE_OF_ROTATION = (0.0, 0.0, 0.175)  # of the "cor" convention
DEEP3D_DISTANCE = 10.0  # from Deep3DFaceRecon's camera to its origin

# Points that stay where they are when the mouth opens: eye corners, nose bridge and tip, forehead, temples, ears.
RIGID_POINTS = (
    33, 133, 263, 362, 168, 6, 197, 195, 5, 4, 1, 10, 151, 9, 8, 67, 297, 109, 338, 54, 284, 21, 251, 162, 389,
    127, 356, 234, 454, 93, 323,
)  # fmt: skip


def estimate_camera(points: Float[Tensor, "n 478 2"] | np.ndarray) -> Camera:
    """Cameras that see the points where they were found; a face of average shape is assumed.

    Args:
        points: [N,478,2] in the crop divided by its side, x right, y down (so 0..1 inside).

    Returns:
        N cameras, float32, at distance 2.7 from the origin ("orig"), intrinsics of EG3D crops.

    Raises:
        InputError: wrong shape, or numbers that are not finite.
    """
    values = np.asarray(points, np.float64)
    if values.ndim != 3 or values.shape[1:] != (478, 2):
        raise InputError(f"estimate_camera needs points [N,478,2]; got {list(values.shape)}.")
    if not np.isfinite(values).all():
        raise InputError("estimate_camera needs finite points.")
    poses = [_fit_pose(face) for face in values]
    cam2world = torch.tensor(np.array(poses).reshape(-1, 4, 4), dtype=torch.float32)
    return Camera(cam2world, intrinsics_from_focal(FOCAL).expand(len(poses), 3, 3))


@cache
def canonical_in_world() -> np.ndarray:
    """MediaPipe's canonical face [468,3] in EG3D's world, placed so that its five points fit the crop's template."""
    vertices = canonical_face().vertices
    source = five_points(vertices)
    target = TEMPLATE * WORLD_SCALE + np.array(WORLD_SHIFT)
    # symmetric: a scale, a pitch, and a shift in y and z
    a, b = source - source.mean(0), target - target.mean(0)
    pitch = np.arctan2((a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1]).sum(), (a[:, 1] * b[:, 1] + a[:, 2] * b[:, 2]).sum())
    rotation = rotation_matrix(np.array([pitch, 0.0, 0.0]))
    scale = (b * (a @ rotation.T)).sum() / (a**2).sum()
    shift = target.mean(0) - scale * rotation @ source.mean(0)
    shift[0] = 0
    return scale * vertices @ rotation.T + shift


def camera_from_deep3d(
    angle: Float[Tensor, "n 3"], translation: Float[Tensor, "n 3"], convention: PoseConvention = "orig"
) -> Camera:
    """Deep3DFaceRecon's coefficients 224:227 (angle) and 254:257 (translation) -> cameras.

    Args:
        angle: [N,3] radians about x, y, z.
        translation: [N,3].
        convention: "orig": at distance 2.7 from the origin, what 3DpSp and EG3D's script for own photos use;
            "cor": at 2.7 from (0,0,.175); "simplify": the same place, looking at that point; "raw": as fitted.
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


def rotation_matrix(vector: np.ndarray) -> np.ndarray:
    """Rotation vector [3] (radians times axis) -> [3,3], Rodrigues' formula."""
    angle = np.linalg.norm(vector)
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    if angle < 1e-9:
        return np.eye(3) + cross
    return np.eye(3) + np.sin(angle) / angle * cross + (1 - np.cos(angle)) / angle**2 * cross @ cross


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


def _fit_pose(points: np.ndarray) -> np.ndarray:
    """cam2world [4,4] of one face [478,2]: robust Gauss-Newton on the reprojection error of the rigid points."""
    index = list(RIGID_POINTS)
    rotation, translation = fit_projection(canonical_in_world()[index], points[index])
    pose = np.eye(4)
    pose[:3, :3] = rotation.T
    position = -rotation.T @ translation
    pose[:3, 3] = position / np.linalg.norm(position) * RADIUS
    return pose


def fit_projection(
    world: np.ndarray, image: np.ndarray, whitening: np.ndarray | None = None, *, noise: float = 0.006, steps: int = 30
) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera rotation [3,3] and translation [3] that project `world` [M,3] onto `image` [M,2] (0..1).

    Levenberg-Marquardt from the frontal camera; points further off than about 2 * `noise` count less (Cauchy).
    """
    rotation, translation = np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, RADIUS])
    damping = 1e-3
    residual, jacobian = _residual(world, image, rotation, translation)
    scale = 2 * noise

    def cost(r: np.ndarray) -> float:
        return float(np.log1p((r.reshape(-1, 2) ** 2).sum(1) / scale**2).sum())

    current = cost(residual)
    for _ in range(steps):
        weight = np.repeat(1 / (1 + (residual.reshape(-1, 2) ** 2).sum(1) / scale**2), 2)
        normal = jacobian.T @ (weight[:, None] * jacobian)
        step = np.linalg.solve(
            normal + damping * np.diag(np.diag(normal)) + 1e-12 * np.eye(6), -jacobian.T @ (weight * residual)
        )
        tried_rotation, tried_translation = rotation_matrix(step[:3]) @ rotation, translation + step[3:]
        tried = _residual(world, image, tried_rotation, tried_translation)
        if (after := cost(tried[0])) < current:
            rotation, translation, (residual, jacobian) = tried_rotation, tried_translation, tried
            damping = max(damping / 5, 1e-9)
            if current - after < 1e-10 * max(current, 1e-12):
                break
            current = after
        else:
            damping *= 8
            if damping > 1e9:
                break
    return rotation, translation


def _residual(
    world: np.ndarray, image: np.ndarray, rotation: np.ndarray, translation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Residuals [2M] and their derivative [2M,6] by a small rotation (left) and the translation."""
    rotated = world @ rotation.T
    seen = rotated + translation
    depth = np.maximum(seen[:, 2], 1e-3)
    u, v = seen[:, 0] / depth, seen[:, 1] / depth
    residual = np.stack([FOCAL * u + 0.5 - image[:, 0], FOCAL * v + 0.5 - image[:, 1]], 1)
    zero = np.zeros_like(depth)
    d_seen = np.stack([np.stack([1 / depth, zero, -u / depth], 1), np.stack([zero, 1 / depth, -v / depth], 1)], 1)
    x, y, z = rotated.T
    d_rotation = np.stack(  # -[rotated]_x
        [np.stack([zero, z, -y], 1), np.stack([-z, zero, x], 1), np.stack([y, -x, zero], 1)], 1
    )
    jacobian = FOCAL * np.concatenate([d_seen @ d_rotation, d_seen], axis=2)
    return residual.reshape(-1), jacobian.reshape(-1, 6)
