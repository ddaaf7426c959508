"""A small statistical face: where the points of MediaPipe lie, how they vary, and how far they can be trusted.

They lie in the world of the cameras. `pose_model.npz` beside this file holds it; `pose_calibration.py` makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ..camera import FOCAL, RADIUS

MODEL_FILE = Path(__file__).with_name("pose_model.npz")
OUTLIER = 2.5  # residuals beyond this many sigmas count less and less (Cauchy)
MAX_STEPS = 30


@dataclass(frozen=True)
class PoseModel:
    """M of MediaPipe's points, chosen because they keep their place when the face moves.

    points: [M] int, their numbers. mean: [M,3], world units. modes: [K,M,3], world units per standard deviation.
    sigma: [M], standard deviation of what the modes do not explain, as a fraction of the crop's side.
    """

    points: np.ndarray
    mean: np.ndarray
    modes: np.ndarray
    sigma: np.ndarray


@dataclass(frozen=True)
class PoseFit:
    """World to camera: rotation [3,3], translation [3]; shape [K] in standard deviations; residual [M] in sigmas."""

    rotation: np.ndarray
    translation: np.ndarray
    shape: np.ndarray
    residual: np.ndarray


@cache
def load_pose_model() -> PoseModel:
    """The model in `pose_model.npz`."""
    with np.load(MODEL_FILE) as data:
        return PoseModel(
            data["points"].astype(np.int64),
            data["mean"].astype(np.float64),
            data["modes"].astype(np.float64),
            data["sigma"].astype(np.float64),
        )


def fit_pose(model: PoseModel, observed: np.ndarray) -> PoseFit:
    """Pose and shape that explain points seen at `observed` [M,2] (crop divided by its side, y down).

    Least is the sum of the squared shape and of every point's robust error, which is c^2 log(1 + residual^2 / c^2) with
    residuals in sigmas: so these are the most probable pose and shape when shapes are normally distributed and a few
    points may be wrong. Found by the method of Levenberg and Marquardt, which starts at the frontal camera.
    """
    rotation, translation = np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, RADIUS])
    shape = np.zeros(len(model.modes))
    residual, jacobian = _linearised(model, observed, rotation, translation, shape)
    cost, damping = _cost(residual, shape), 1e-3
    prior = np.concatenate([np.zeros(6), np.ones(len(shape))])
    for _ in range(MAX_STEPS):
        weight = np.repeat(1 / (1 + _squared(residual) / OUTLIER**2), 2)
        weighted = jacobian * weight[:, None]
        normal = weighted.T @ jacobian + np.diag(prior)
        gradient = weighted.T @ residual + prior * np.concatenate([np.zeros(6), shape])
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -gradient)
        tried = rotation_matrix(step[:3]) @ rotation, translation + step[3:6], shape + step[6:]
        tried_residual, tried_jacobian = _linearised(model, observed, *tried)
        tried_cost = _cost(tried_residual, tried[2])
        if tried_cost < cost:
            gain = cost - tried_cost
            (rotation, translation, shape), residual, jacobian, cost = tried, tried_residual, tried_jacobian, tried_cost
            damping = max(damping / 5, 1e-9)
            if gain < 1e-9 * cost:
                break
        else:
            damping *= 8
            if damping > 1e9:
                break
    return PoseFit(rotation, translation, shape, np.sqrt(_squared(residual)))


def rotation_matrix(vector: np.ndarray) -> np.ndarray:
    """The matrix [3,3] of a rotation from its vector [3], which is the angle in radians times the axis (Rodrigues)."""
    angle = np.linalg.norm(vector)
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    if angle < 1e-9:
        return np.eye(3) + cross
    return np.eye(3) + np.sin(angle) / angle * cross + (1 - np.cos(angle)) / angle**2 * cross @ cross


def project(points: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """World points [M,3] -> [M,2] as fractions of an EG3D crop's side, y down."""
    seen = points @ rotation.T + translation
    return FOCAL * seen[:, :2] / seen[:, 2:] + 0.5


def _linearised(
    model: PoseModel, observed: np.ndarray, rotation: np.ndarray, translation: np.ndarray, shape: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Residuals [2M] in sigmas, and their derivative [2M,6+K] by a small rotation (left), translation and shape."""
    rotated = (model.mean + np.tensordot(shape, model.modes, 1)) @ rotation.T
    seen = rotated + translation
    depth = np.maximum(seen[:, 2], 1e-3)
    u, v = seen[:, 0] / depth, seen[:, 1] / depth
    residual = (FOCAL * np.stack([u, v], 1) + 0.5 - observed) / model.sigma[:, None]
    zero = np.zeros_like(depth)
    by_seen = np.stack([np.stack([1 / depth, zero, -u / depth], 1), np.stack([zero, 1 / depth, -v / depth], 1)], 1)
    by_seen *= (FOCAL / model.sigma)[:, None, None]  # [M,2,3]
    x, y, z = rotated.T
    by_rotation = np.stack(  # -[rotated]_x, [M,3,3]
        [np.stack([zero, z, -y], 1), np.stack([-z, zero, x], 1), np.stack([y, -x, zero], 1)], 1
    )
    by_shape = np.einsum("mij,jk,bmk->mib", by_seen, rotation, model.modes, optimize=True)
    jacobian = np.concatenate([by_seen @ by_rotation, by_seen, by_shape], axis=2)
    return residual.reshape(-1), jacobian.reshape(-1, 6 + len(shape))


def _squared(residual: np.ndarray) -> np.ndarray:
    return (residual.reshape(-1, 2) ** 2).sum(1)


def _cost(residual: np.ndarray, shape: np.ndarray) -> float:
    return float(OUTLIER**2 * np.log1p(_squared(residual) / OUTLIER**2).sum() + shape @ shape)
