"""Camera paths for videos. Angles are true degrees; all paths but `keyframes` and `dolly` are loops.

`sphere` is where the generator's cameras stand and look (`GeneratorConfig.camera_sphere`): a path without a start
begins in front on it, and every path keeps its pivot in view. Without one, a face model's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from .camera import FACE_SPHERE, Camera, CameraSphere
from .errors import InputError

PathName = Literal["swing", "orbit", "ellipse", "dolly"]


def camera_path(
    name: PathName,
    frames: int,
    start: Camera | None = None,
    *,
    yaw_degrees: float = 30.0,
    pitch_degrees: float = 12.0,
    sphere: CameraSphere = FACE_SPHERE,
) -> Camera:
    """`frames` cameras of the named path; see the function of that name.

    Raises:
        InputError: an unknown name, fewer than one frame, or angles out of range.
    """
    if name == "swing":
        return swing(frames, start, yaw_degrees=yaw_degrees, sphere=sphere)
    if name == "orbit":
        return orbit(frames, start, sphere=sphere)
    if name == "ellipse":
        return ellipse(frames, start, yaw_degrees=yaw_degrees, pitch_degrees=pitch_degrees, sphere=sphere)
    if name == "dolly":
        return dolly(frames, start, sphere=sphere)
    raise InputError(f"Unknown camera path '{name}'. Choose swing, orbit, ellipse or dolly.")


def swing(
    frames: int, start: Camera | None = None, *, yaw_degrees: float = 30.0, sphere: CameraSphere = FACE_SPHERE
) -> Camera:
    """Left and right between -yaw_degrees and +yaw_degrees; frame 0 is `start` (the photo's camera), exactly.

    A start that is turned farther than yaw_degrees widens the swing to reach it.
    """
    start = _start(start, frames, sphere)
    yaw, pitch, radius = _angles(start)
    reach = max(_angle(yaw_degrees), abs(yaw), 1e-3)
    phase = math.asin(max(-1.0, min(1.0, yaw / reach)))
    return _around(start, reach * torch.sin(_turn(frames) + phase), torch.full((frames,), pitch), radius, sphere)


def orbit(frames: int, start: Camera | None = None, *, sphere: CameraSphere = FACE_SPHERE) -> Camera:
    """Once all the way round, from `start` to its right. EG3D's face models know nothing of backs of heads."""
    start = _start(start, frames, sphere)
    yaw, pitch, radius = _angles(start)
    return _around(start, yaw + torch.rad2deg(_turn(frames)), torch.full((frames,), pitch), radius, sphere)


def ellipse(
    frames: int,
    start: Camera | None = None,
    *,
    yaw_degrees: float = 30.0,
    pitch_degrees: float = 12.0,
    sphere: CameraSphere = FACE_SPHERE,
) -> Camera:
    """Round the front of the face: yaw and pitch go in a circle about the frontal view, as in the published videos.

    The camera `start` frames it.
    """
    start = _start(start, frames, sphere)
    angle = _turn(frames)
    yaw, pitch = _angle(yaw_degrees) * angle.sin(), _angle(pitch_degrees) * angle.cos()
    return _around(start, yaw, pitch, _angles(start)[2], sphere)


def dolly(
    frames: int,
    start: Camera | None = None,
    *,
    near: float = 0.75,
    far: float = 1.4,
    sphere: CameraSphere = FACE_SPHERE,
) -> Camera:
    """From `far` to `near` times the start's distance with a focal length that keeps the head's size (dolly zoom).

    The photo's own distance, and so its perspective, is somewhere in between.
    """
    start = _start(start, frames, sphere)
    yaw, pitch, radius = _angles(start)
    scale = torch.linspace(0, 1, frames) if frames > 1 else torch.zeros(1)
    scale = far + (near - far) * (0.5 - 0.5 * torch.cos(math.pi * scale))
    moved = _around(start, torch.full((frames,), yaw), torch.full((frames,), pitch), radius * scale, sphere)
    intrinsics = moved.intrinsics.clone()
    intrinsics[:, 0, 0] *= scale
    intrinsics[:, 1, 1] *= scale
    return Camera(moved.cam2world, intrinsics)


def views(yaw_degrees: Sequence[float], start: Camera | None = None, *, sphere: CameraSphere = FACE_SPHERE) -> Camera:
    """One camera for each yaw, framed and pitched like `start`."""
    start = _start(start, len(yaw_degrees), sphere)
    _, pitch, radius = _angles(start)
    return _around(start, torch.tensor(list(yaw_degrees)), torch.full((len(yaw_degrees),), pitch), radius, sphere)


def keyframes(
    points: Sequence[tuple[float, float]],
    frames: int,
    *,
    radius: float | None = None,
    sphere: CameraSphere = FACE_SPHERE,
) -> Camera:
    """Through (yaw, pitch) points in degrees, easing in and out of each; the first and the last frame are on the ends.

    Raises:
        InputError: no points, or fewer than one frame.
    """
    if not points or frames < 1:
        raise InputError(f"keyframes needs points and at least one frame; got {len(points)} and {frames}.")
    stops = torch.tensor([tuple(point) for point in points], dtype=torch.float32)
    position = torch.linspace(0, len(points) - 1, frames)
    index = position.long().clamp(max=max(len(points) - 2, 0))
    part = 0.5 - 0.5 * torch.cos(math.pi * (position - index))
    following = stops[(index + 1).clamp(max=len(points) - 1)]
    angles = stops[index] + part[:, None] * (following - stops[index])
    distance = sphere.radius if radius is None else radius
    return Camera.orbit(angles[:, 0], angles[:, 1], radius=distance, pivot=sphere.pivot)


def turned(cameras: Camera, yaw_degrees: float, pitch_degrees: float, *, sphere: CameraSphere = FACE_SPHERE) -> Camera:
    """Each camera moved about the head by these angles (positive = to its right, up), framing the head as before.

    Raises:
        InputError: a camera would come to stand beyond 89 degrees of pitch.
    """
    moved = []
    for index in range(len(cameras)):
        camera = _start(cameras[index], 1, sphere)
        yaw, pitch, radius = _angles(camera)
        if abs(pitch + pitch_degrees) > 89:
            raise InputError(f"The camera's pitch would be {pitch + pitch_degrees:.1f} degrees; keep it within 89.")
        angles = torch.tensor([yaw + yaw_degrees]), torch.tensor([pitch + pitch_degrees])
        moved.append(_around(camera, *angles, radius, sphere))
    return Camera.cat(moved)


def parse_keyframes(text: str) -> list[tuple[float, float]]:
    """One view a line, as "25, 0": yaw and pitch in degrees; empty lines do not count.

    Raises:
        InputError: a line is not two numbers in range, or there is none; the message gives its number.
    """
    points = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yaw, pitch = (float(part) for part in line.split(","))
        except ValueError as error:
            raise InputError(
                f"Line {number} of the keyframes is '{line.strip()}'; expected yaw and pitch as '25, 0'."
            ) from error
        if not (abs(yaw) <= 180 and abs(pitch) <= 89):
            raise InputError(f"Line {number} of the keyframes: yaw lies within 180 degrees and pitch within 89.")
        points.append((yaw, pitch))
    if not points:
        raise InputError("There are no keyframes. Give one view a line: yaw and pitch in degrees, as '25, 0'.")
    return points


def _start(start: Camera | None, frames: int, sphere: CameraSphere) -> Camera:
    """The start camera (frontal by default), on the CPU, once the inputs are checked."""
    if frames < 1:
        raise InputError(f"A camera path needs at least one frame; got {frames}.")
    start = (sphere.at(0.0) if start is None else start[0]).to("cpu", torch.float32)
    if not torch.isfinite(start.label).all():
        raise InputError("The start camera has values that are not numbers.")
    return start


def _angle(degrees: float) -> float:
    """A checked half-angle."""
    if not 0 <= degrees <= 89:
        raise InputError(f"Angles of a path lie between 0 and 89 degrees; got {degrees}.")
    return float(degrees)


def _angles(camera: Camera) -> tuple[float, float, float]:
    """Yaw, pitch and radius of one camera."""
    return camera.yaw_degrees.item(), camera.pitch_degrees.item(), camera.position.norm().item()


def _turn(frames: int) -> Tensor:
    """[frames] radians from 0 up to, but without, a full turn."""
    return torch.arange(frames) * (2 * math.pi / frames)


def _around(start: Camera, yaw: Tensor, pitch: Tensor, radius: float | Tensor, sphere: CameraSphere) -> Camera:
    """Cameras at the given places that look past the pivot just as `start` does (same roll, same framing)."""
    yaw0, pitch0, radius0 = _angles(start)
    ideal = Camera.orbit(yaw0, pitch0, radius=radius0, pivot=sphere.pivot).cam2world[0, :3, :3]
    lean = ideal.T @ start.cam2world[0, :3, :3]  # start's rotation seen from the camera that looks at the pivot
    cam2world = Camera.orbit(yaw, pitch, radius=radius, pivot=sphere.pivot).cam2world
    cam2world[:, :3, :3] = cam2world[:, :3, :3] @ lean
    return Camera(cam2world, start.intrinsics.expand(len(cam2world), 3, 3))
