"""From a photo to an aligned crop with its camera."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from ..errors import InputError, NoFaceError
from ..threads import as_many_threads_as_pay
from ..types import FaceCrop
from .align import Border, apply_affine, crop_face, five_points
from .deep3d import Deep3D
from .landmarks import Face, detect_faces
from .mirror_sigma import SigmaBackend, estimate_mirror_sigma
from .photo import PhotoSource, load_photo
from .pose import estimate_camera

FaceChoice = Literal["largest"] | int
MIN_FACE_WIDTH = 40.0  # pixels, box of the landmarks
SOFT_FACE_WIDTH = 100.0  # below this the crop is visibly soft


@as_many_threads_as_pay()
def prepare_photo(
    source: PhotoSource,
    *,
    face: FaceChoice = "largest",
    size: int = 512,
    border: Border = "black",
    with_mirror_sigma: bool = False,
    sigma_backend: SigmaBackend = "builtin",
    deep3d: Deep3D | None = None,
    faces: list[Face] | None = None,
) -> FaceCrop:
    """Find the face, cut EG3D's crop, estimate the camera.

    Args:
        source: what `load_photo` takes.
        face: "largest", or the number of a face, 0 = largest.
        size: side of the crop in pixels.
        border: what lies outside the photo: black, or the photo mirrored at its edges.
        with_mirror_sigma: also estimate the uncertainty of the flip.
        sigma_backend: where that comes from: our own estimate, or unsup3d's network.
        deep3d: takes the camera from this network, as the published preprocessing does; default: from the landmarks.
        faces: found elsewhere, in the photo's pixels, in any order; default: they are searched here.

    Returns:
        A FaceCrop of one photo; `landmarks` in crop pixels, `notes` with what the user should know.

    Raises:
        InputError: not a photo, the face is too small, or there is no face of that number.
        NoFaceError: no face found.
        MissingDependencyError: mediapipe or its model is missing.
    """
    if size < 16:
        raise InputError(f"size must be at least 16 pixels; got {size}.")
    photo = load_photo(source)
    found = detect_faces(photo.image) if faces is None else sorted(faces, key=lambda f: -f.size)
    chosen, notes = _choose_face(found, face)
    five = five_points(chosen.points)
    crop, source_to_crop = crop_face(photo.image, five, size, border)
    landmarks = apply_affine(source_to_crop, chosen.points)
    if _outside_share(source_to_crop, photo.image, size) > 0.25 and border == "black":
        notes += ("A quarter of the crop or more lies outside the photo and is black.",)
    if deep3d is None:
        camera = estimate_camera(landmarks[None] / size)
    else:
        camera = deep3d.camera(photo.image, five)
    image = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    points = torch.tensor(landmarks[None], dtype=torch.float32)
    return FaceCrop(
        image=image,
        camera=camera,
        mirror_sigma=estimate_mirror_sigma(image, points, camera, sigma_backend) if with_mirror_sigma else None,
        source_to_crop=torch.tensor(source_to_crop[None], dtype=torch.float32),
        landmarks=points,
        notes=photo.notes + notes,
    )


def _choose_face(faces: list[Face], choice: FaceChoice) -> tuple[Face, tuple[str, ...]]:
    if not faces:
        raise NoFaceError(
            "No face found in the photo. Use a photo with an unobstructed face, upright, "
            f"at least {SOFT_FACE_WIDTH:.0f} pixels wide."
        )
    number = 0 if choice == "largest" else choice
    if not 0 <= number < len(faces):
        raise InputError(f"The photo has {len(faces)} face(s), numbered from 0 (largest); there is no face {choice}.")
    chosen = faces[number]
    notes: tuple[str, ...] = ()
    if chosen.width < MIN_FACE_WIDTH:
        raise InputError(
            f"The face is too small: {chosen.width:.0f} pixels wide; at least {MIN_FACE_WIDTH:.0f} are needed, "
            "300 are good. Use a larger version of the photo."
        )
    if chosen.width < SOFT_FACE_WIDTH:
        notes += (f"The face is only {chosen.width:.0f} pixels wide; the result will be soft.",)
    if len(faces) > 1 and choice == "largest":
        notes += (f"{len(faces)} faces found; the largest is used. Choose another by its number, 0 = largest.",)
    return chosen, notes


def _outside_share(source_to_crop: np.ndarray, image: np.ndarray, size: int) -> float:
    """Part of the crop that the photo does not cover, 0..1."""
    height, width = image.shape[:2]
    corners = np.clip(apply_affine(source_to_crop, np.array([[0.0, 0.0], [width, height]])), 0, size)
    return 1 - float(np.prod(corners[1] - corners[0])) / size**2
