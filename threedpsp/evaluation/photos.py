"""The photos of a folder, and their crops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..preprocessing.folder import PHOTO_SUFFIXES
from ..preprocessing.prepare import prepare_photo
from ..preprocessing.prepared_folder import PreparedPhoto, is_prepared, load_prepared, read_prepared
from ..types import FaceCrop

CROP_SIDE = 256
ALIGNED = f"EG3D crop at {CROP_SIDE} px, photo mirrored beyond its edges"
AS_THEY_ARE = "crops and cameras of a prepared folder as they are"


def photos_of(folder: Path, limit: int = 0) -> Sequence[Path | PreparedPhoto]:
    """The photos of a folder, in order; of a folder that is prepared already, its crops (without mirrored copies).

    Raises:
        InputError: no such folder, no photo in it, or a damaged dataset.json.
    """
    paths: Sequence[Path | PreparedPhoto]
    if folder.exists() and is_prepared(folder):
        paths = read_prepared(folder, PHOTO_SUFFIXES).photos
    elif folder.is_dir():
        inside = (p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES and not p.name.startswith("."))
        paths = sorted(inside)
    else:
        raise InputError(f"{folder} is not a folder. Give a folder of photos, or what 'threedpsp prepare' has made.")
    if not paths:
        raise InputError(f"No photos in {folder}.")
    return paths[:limit] if limit else paths


def crop_of(photo: Path | PreparedPhoto) -> FaceCrop:
    """A prepared crop as it is; a photo aligned, with its camera.

    Raises:
        InputError: no photo, no usable face, or no camera.
    """
    if isinstance(photo, PreparedPhoto):
        return load_prepared(photo)
    return prepare_photo(photo, size=CROP_SIDE, border="mirror", with_mirror_sigma=True)
