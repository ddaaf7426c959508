"""Preparing a photo stage by stage: align, estimate the pose, estimate where its mirror image can be trusted.

`prepare` does all three at once; these are for those who look at each result, correct it, or take it from elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from .camera import Camera
from .errors import InputError, NoFaceError
from .export.images import to_uint8
from .export.overlay import heat_overlay
from .paths import turned
from .preprocessing.align import Border, five_points
from .preprocessing.landmarks import Face
from .preprocessing.mirror_sigma import estimate_mirror_sigma
from .preprocessing.photo import PhotoSource
from .preprocessing.pose import estimate_camera
from .preprocessing.prepare import FaceChoice, prepare_photo
from .threads import as_many_threads_as_pay
from .types import FaceCrop
from .weights.systems import ConfidenceSource, PoseName, confidence_network, pose_network

Points = Sequence[Sequence[np.ndarray | Tensor]]
"""For each photo, each of its faces as [478,2] (or 468) pixels: MediaPipe's points."""
HOTTEST = 0.6  # the loss of confidence that is shown as the hottest colour


def align(
    photos: Sequence[PhotoSource],
    *,
    face: FaceChoice = "largest",
    size: int = 512,
    border: Border = "mirror",
    landmarks: Points | None = None,
    skip_missing: bool = False,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> FaceCrop:
    """Photos as aligned crops with landmarks and cameras.

    Args:
        photos: what `load_photo` takes.
        face: "largest", or a number counted from the largest (0).
        size: side of the crops in pixels.
        border: what lies outside a photo: the photo mirrored at its edge, or black.
        landmarks: points found elsewhere; then no face is searched here.
        skip_missing: leave out photos without a usable face, and say so in the notes, as long as one is left.
        on_progress: called with ("align", photos done, photos in all).

    Raises:
        NoFaceError: a photo has no usable face; the message says which.
        InputError: no photos, or one that cannot be used.
        MissingDependencyError: mediapipe is missing and no landmarks are given.
    """
    if not photos:
        raise InputError("There is no photo to align. Give at least one.")
    if landmarks is not None and len(landmarks) != len(photos):
        raise InputError(f"{len(photos)} photos need the landmarks of as many; got {len(landmarks)}.")
    crops: list[FaceCrop] = []
    problems: list[InputError] = []
    for index, photo in enumerate(photos):
        found = None if landmarks is None else [_face(points) for points in landmarks[index]]
        name = f"Photo {index + 1} of {len(photos)}: " if len(photos) > 1 else ""
        try:
            crop = prepare_photo(photo, face=face, size=size, border=border, faces=found)
            crops.append(dataclasses.replace(crop, notes=tuple(name + note for note in crop.notes)))
        except InputError as error:
            problems.append(type(error)(f"{name}{error}"))
            if not skip_missing:
                raise problems[-1] from error
        if on_progress is not None:
            on_progress("align", index + 1, len(photos))
    if not crops:
        raise NoFaceError("None of the photos has a usable face. " + " ".join(str(problem) for problem in problems))
    aligned = FaceCrop.cat(crops)
    return dataclasses.replace(aligned, notes=aligned.notes + tuple(f"Left out. {problem}" for problem in problems))


@as_many_threads_as_pay()
def estimate_pose(
    crop: FaceCrop,
    pose: PoseName = "mediapipe",
    *,
    turn_yaw: float = 0.0,
    turn_pitch: float = 0.0,
    deep3d_weights: str | Path | None = None,
    weights_dirs: Sequence[str | Path] = (),
) -> FaceCrop:
    """The same crops with cameras estimated anew.

    Args:
        crop: from `align`.
        pose: from MediaPipe's landmarks, or from Deep3DFaceRecon's network, which looks at the crop.
        turn_yaw: added to the yaw, degrees; the camera moves about the head and keeps its framing.
        turn_pitch: added to the pitch, degrees.
        deep3d_weights: that network's file; default: `epoch_20.pth` in the search path.
        weights_dirs: folders that are searched first.

    Raises:
        InputError: the crops have no landmarks.
        WeightsError: Deep3D's file is missing or damaged.
    """
    landmarks = _landmarks(crop, "The pose")
    network = pose_network(pose, deep3d_weights, weights_dirs)
    if network is None:
        camera = estimate_camera(landmarks / crop.image.shape[-1])
    else:
        pictures = to_uint8(crop.image)
        points = [five_points(one.numpy()) for one in landmarks.cpu()]
        camera = Camera.cat([network.camera(*pair) for pair in zip(pictures, points, strict=True)])
    if turn_yaw or turn_pitch:
        camera = turned(camera, turn_yaw, turn_pitch)
    return dataclasses.replace(crop, camera=camera)


def estimate_confidence(
    crop: FaceCrop, source: ConfidenceSource = "builtin", *, weights_dirs: Sequence[str | Path] = ()
) -> FaceCrop:
    """The same crops with the uncertainty of the flip (`mirror_sigma`): where the mirrored photo can be trusted.

    Args:
        crop: from `align`.
        source: "builtin", from the landmarks and the pixels; or "unsup3d", the published work's network.
        weights_dirs: folders that are searched first for that network's file.

    Raises:
        InputError: the crops have no landmarks.
        WeightsError: the network's file is missing or damaged.
    """
    backend = confidence_network(source, weights_dirs)
    landmarks = _landmarks(crop, "The confidence map")
    sigma = estimate_mirror_sigma(crop.image, landmarks, crop.camera, backend)
    return dataclasses.replace(crop, mirror_sigma=sigma)


def confidence_heat(crop: FaceCrop) -> Float[Tensor, "n 3 r r"]:
    """The uncertainty as colours over the crops, in [-1,1]: violet = trust the mirror image, red and yellow = do not.

    Raises:
        InputError: the crops have no uncertainty of the flip.
    """
    return heat_overlay(crop.image, (1 - confidence_on_photo(crop)) / HOTTEST)


def confidence_on_photo(crop: FaceCrop) -> Float[Tensor, "n r r"]:
    """How far each pixel's mirror image can be trusted, 0..1, lying on the crop: 1 / (1 + uncertainty).

    Raises:
        InputError: the crops have no uncertainty of the flip.
    """
    if crop.mirror_sigma is None:
        raise InputError("These faces have no confidence map yet. Estimate it first (estimate_confidence).")
    return 1 / (1 + crop.mirror_sigma.flip(-1))


def _face(points: np.ndarray | Tensor) -> Face:
    """MediaPipe's points from elsewhere; the iris points are the middles of the eyes where they are missing."""
    xy = np.asarray(points, np.float32)
    if xy.ndim != 2 or xy.shape[0] not in (468, 478) or xy.shape[1] < 2 or not np.isfinite(xy).all():
        raise InputError(f"Landmarks are points of MediaPipe, [478,2] or [468,2], and finite; got {list(xy.shape)}.")
    xy = xy[:, :2]
    if len(xy) == 468:
        right, left = (xy[[a, b]].mean(0) for a, b in ((33, 133), (263, 362)))
        xy = np.concatenate([xy, np.tile(right, (5, 1)), np.tile(left, (5, 1))])
    return Face(xy, np.zeros(len(xy), np.float32))


def _landmarks(crop: FaceCrop, what: str) -> Tensor:
    if crop.landmarks is None:
        raise InputError(f"{what} needs the landmarks of the faces; align the photos first.")
    return crop.landmarks
