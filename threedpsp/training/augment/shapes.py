"""Small changes of a face's shape, in the world, so that they hold from every camera."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from .people import LEFT_EYE, RIGHT_EYE

EYE_LINE, MOUTH_LINE, NOSE_TIP = 168, 13, 4  # points that the changes hang on


@dataclass(frozen=True)
class ShapeChange:
    """By how much a face differs from what it was; shares, 0 changes nothing."""

    jaw_width: float = 0.0
    """Width below the nose."""
    nose_width: float = 0.0
    nose_length: float = 0.0
    eye_distance: float = 0.0
    face_length: float = 0.0
    forehead: float = 0.0
    """Height above the brows."""
    mouth_width: float = 0.0
    own: float = 0.0
    """How far the face moves away from the mean face, so that what is special about it becomes stronger."""

    @staticmethod
    def drawn(random: np.random.Generator, strength: float = 1.0) -> ShapeChange:
        """A random one."""
        spread = (0.05, 0.09, 0.07, 0.035, 0.03, 0.06, 0.04, 0.14)
        values = (float(np.clip(random.normal(), -2, 2)) * s * strength for s in spread)
        return ShapeChange(**dict(zip((f.name for f in fields(ShapeChange)), values, strict=True)))


def reshaped(mesh: np.ndarray, change: ShapeChange, mean: np.ndarray) -> np.ndarray:
    """The mesh [468,3] changed; mean [468,3] is the mean face in the same world."""
    mesh = mesh + change.own * (mesh - mean)
    x, y = mean[:, 0], mean[:, 1]
    eyes, mouth, nose = mean[EYE_LINE, 1], mean[MOUTH_LINE, 1], mean[NOSE_TIP]
    face = eyes - mouth  # the unit of length on a face
    out = mesh.copy()
    low = _rise((nose[1] - y) / face)
    out[:, 0] *= 1 + change.jaw_width * low
    near_nose = _bump(x / (0.45 * face)) * _bump((y - nose[1]) / (0.45 * face))
    out[:, 0] *= 1 + change.nose_width * near_nose
    bridge = _bump(x / (0.4 * face)) * _bump((y - nose[1]) / (0.5 * face))
    out[:, 1] -= change.nose_length * face * 0.6 * bridge
    out[:, 2] += change.nose_length * face * 0.3 * bridge
    for points in (LEFT_EYE, RIGHT_EYE):
        middle = mean[list(points)].mean(0)
        near = _bump((x - middle[0]) / (0.6 * face)) * _bump((y - middle[1]) / (0.5 * face))
        out[:, 0] += change.eye_distance * middle[0] * near
    out[:, 1] = eyes + (out[:, 1] - eyes) * (1 + change.face_length * _rise((eyes - y) / (0.5 * face)))
    out[:, 1] += change.forehead * face * 0.7 * _rise((y - eyes) / face)
    lips = _bump(x / (0.6 * face)) * _bump((y - mouth) / (0.3 * face))
    out[:, 0] *= 1 + change.mouth_width * lips
    return out


def _bump(t: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * (t / 0.6) ** 2)


def _rise(t: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
