"""Whether a render shows the head from where its camera stood: the camera is estimated again from the picture."""

from __future__ import annotations

import torch
from torch import Tensor

from ..camera import Camera
from ..preprocessing.pose import estimate_camera


def rotation_degrees(a: Camera, b: Camera) -> float:
    """The angle by which one camera is turned against the other, degrees, 0 to 180; one camera each."""
    turn = a.cam2world[0, :3, :3].double().cpu().T @ b.cam2world[0, :3, :3].double().cpu()
    # sine and cosine: acos alone loses half the digits near zero
    axis = torch.stack([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    return torch.rad2deg(torch.atan2(axis.norm(), turn.trace() - 1)).item()


def pose_error(points: Tensor | None, side: int, camera: Camera) -> float:
    """Degrees between the camera that fits the landmarks found in a render and the one that it was rendered from.

    Args:
        points: MediaPipe's [1,478,2] in pixels; None: no face was found.
        side: of the picture.
        camera: the render's.

    Returns:
        The angle; not a number where no face was found.
    """
    if points is None:
        return float("nan")
    return rotation_degrees(estimate_camera(points.double() / side), camera)
