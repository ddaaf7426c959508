"""Parts of a face as smooth weights over the mesh's points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REGIONS = {
    "eyes": (33, 133, 159, 145, 263, 362, 386, 374, 105, 66, 334, 296, 168),
    "nose": (6, 197, 195, 5, 4, 98, 327, 2, 48, 278),
    "mouth": (13, 14, 61, 291, 0, 17, 37, 267, 84, 314),
    "cheeks": (50, 280, 205, 425, 123, 352, 187, 411),
    "jaw": (152, 199, 175, 176, 400, 136, 365, 172, 397, 200),
    "forehead": (10, 151, 108, 337, 67, 297, 9, 54, 284),
}
"""The points of MediaPipe's mesh that are the middles of a part."""
SPREAD = 0.022  # world units, how soft the border between two parts is
EDGE = 0.035  # world units from the edge of the mesh over which another face's colours come in


@dataclass(frozen=True)
class FaceParts:
    """The parts of a face, point by point.

    weights: [468,R], how much each point belongs to each of the regions; over all of them these are 1 together.
    inner: [468], which is 0 at the edge of the mesh and rises to 1 well inside, so that a border does not show there.
    """

    weights: np.ndarray
    inner: np.ndarray


def face_parts(mesh: np.ndarray, triangles: np.ndarray) -> FaceParts:
    """The parts of a mean face [468,3] in units of the world."""
    nearness = []
    for points in REGIONS.values():
        distance = np.linalg.norm(mesh[:, None] - mesh[None, list(points)], axis=2).min(1)
        nearness.append(np.exp(-0.5 * (distance / SPREAD) ** 2) + 1e-6)
    weights = np.stack(nearness, 1)
    edge = mesh[boundary_points(triangles)]
    distance = np.linalg.norm(mesh[:, None, :2] - edge[None, :, :2], axis=2).min(1)
    ramp = np.clip(distance / EDGE, 0, 1)
    return FaceParts(weights / weights.sum(1, keepdims=True), ramp * ramp * (3 - 2 * ramp))


def boundary_points(triangles: np.ndarray) -> np.ndarray:
    """The points on the mesh's edge, whose sides belong to one triangle only."""
    sides = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    unique, count = np.unique(sides, axis=0, return_counts=True)
    return np.unique(unique[count == 1])
