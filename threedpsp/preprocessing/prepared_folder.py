"""A folder that is prepared already, by us or by the published preprocessing: crops, dataset.json, conf_map/."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..camera import LABEL_DIM, Camera
from ..errors import InputError, MissingDependencyError
from ..types import FaceCrop
from .landmarks import detect_faces
from .mirror_sigma import SigmaBackend, estimate_mirror_sigma, load_conf_map
from .photo import load_photo

LABELS_FILE = "dataset.json"
CONF_MAPS = "conf_map"
MIRROR_ENDING = "_mirror"  # of the copies that the published preprocessing makes for training
SMALLEST_SIDE = 16
LARGEST = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class PreparedPhoto:
    """One crop of such a folder.

    path: the crop. name: as dataset.json has it. label: EG3D's 25 numbers, None where dataset.json lacks them.
    conf_map: the uncertainty of its flip, a .npy, or None.
    """

    path: Path
    name: str
    label: tuple[float, ...] | None
    conf_map: Path | None = None

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class PreparedFolder:
    """photos: the crops, sorted by name. mirrored: names of mirrored copies of them, which are left out."""

    photos: tuple[PreparedPhoto, ...]
    mirrored: tuple[str, ...]


def is_prepared(folder: str | Path) -> bool:
    """Whether a folder says of itself that it is prepared: it has a dataset.json."""
    return (Path(folder) / LABELS_FILE).is_file()


def read_prepared(folder: str | Path, suffixes: frozenset[str]) -> PreparedFolder:
    """The crops of a prepared folder: those that dataset.json names, and images beside it that it does not.

    Mirrored copies (`name_mirror.png` beside `name.png`) are left out: they are the same photos.

    Args:
        folder: the folder; dataset.json holds {"labels": [[name, [25 numbers]], ...]}, names relative to it.
        suffixes: endings of images, lower case.

    Raises:
        InputError: dataset.json cannot be read, has another structure, or names files outside the folder.
    """
    folder = Path(folder)
    labels = _read_labels(folder / LABELS_FILE)
    beside = {p.name for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith(".")}
    names = sorted({*labels, *beside})
    stems = {PurePosixPath(name).with_suffix("").as_posix() for name in names}
    mirrored = {name for name in names if _original(name) in stems}
    photos = [
        PreparedPhoto(folder / name, name, labels.get(name), _conf_map(folder, name))
        for name in names
        if name not in mirrored
    ]
    return PreparedFolder(tuple(photos), tuple(sorted(mirrored)))


def load_prepared(
    photo: PreparedPhoto, size: int | None = None, sigma_backend: SigmaBackend = "builtin"
) -> FaceCrop:
    """The crop as it is, with the camera of its label and the stored uncertainty of its flip; nothing is aligned.

    Landmarks, which identity measures need, are looked for in the crop; where none are found, a note says so.
    Without a stored uncertainty, it is estimated: by ConfNet if that is given, else from the landmarks.

    Args:
        photo: one of `read_prepared`.
        size: side of the crop in pixels; None: as it is.
        sigma_backend: see `estimate_mirror_sigma`.

    Raises:
        InputError: no label, a label that is no camera, an image that is none or not square, a damaged conf_map.
    """
    if photo.label is None:
        raise InputError(
            f"{photo.path} has no camera: {LABELS_FILE} does not name it. Add its label, or prepare the photo anew."
        )
    camera = _camera(photo)
    loaded = load_photo(photo.path)
    height, width = loaded.image.shape[:2]
    if height != width or height < SMALLEST_SIDE:
        raise InputError(f"{photo.path} is no crop: {width} x {height} pixels, where a square is expected.")
    pixels = loaded.image
    if size is not None and size != height:
        pixels = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.LANCZOS))
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    points, notes = _landmarks(pixels)
    sigma: Tensor | None = None
    if photo.conf_map is not None:
        sigma = load_conf_map(photo.conf_map, image.shape[3])[None]
    elif points is not None or sigma_backend != "builtin":
        known = torch.zeros(1, 0, 2) if points is None else points  # ConfNet does not look at them
        sigma = estimate_mirror_sigma(image, known, camera, sigma_backend)
    return FaceCrop(image, camera, sigma, None, points, (*loaded.notes, "Prepared already; not aligned again.", *notes))


def _landmarks(pixels: np.ndarray) -> tuple[Tensor | None, tuple[str, ...]]:
    """The largest face's points in the crop, [1,478,2], or a note that says why there are none."""
    try:
        faces = detect_faces(pixels)
    except MissingDependencyError as error:
        return None, (f"Identity cannot be measured: {error}",)
    if not faces:
        return None, ("No face was found in the crop, so its identity cannot be measured.",)
    return torch.tensor(faces[0].points[None], dtype=torch.float32), ()


def _read_labels(path: Path) -> dict[str, tuple[float, ...]]:
    """Name -> label."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}).") from error
    entries: Any = content.get("labels") if isinstance(content, dict) else None
    expected = '{"labels": [["name.png", [25 numbers]], ...]}'
    if isinstance(entries, dict):
        entries = list(entries.items())
    if not isinstance(entries, list):
        raise InputError(f"{path} holds no list of labels; expected {expected}.")
    labels: dict[str, tuple[float, ...]] = {}
    for entry in entries:
        if not isinstance(entry, list | tuple) or len(entry) != 2 or not isinstance(entry[0], str):
            raise InputError(f"{path} has the entry {str(entry)[:80]}; expected {expected}.")
        name, label = entry
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts or ".." in parts or Path(name).is_absolute() or parts[0] == "/" or ":" in parts[0] or "\0" in name:
            raise InputError(f"{path} names {name!r}; names must stay inside its folder.")
        labels["/".join(parts)] = _numbers(path, name, label)
    return labels


def _numbers(path: Path, name: str, label: Any) -> tuple[float, ...]:
    """EG3D's 25 numbers, finite as float32 too."""
    numbers = isinstance(label, list) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in label)
    if not numbers or len(label) != LABEL_DIM or not all(abs(v) <= LARGEST for v in label):
        raise InputError(f"{path}: the label of {name!r} is not {LABEL_DIM} finite numbers.")
    return tuple(float(v) for v in label)


def _camera(photo: PreparedPhoto) -> Camera:
    """The label as a camera, if it is one."""
    camera = Camera.from_label(torch.tensor([photo.label], dtype=torch.float32))
    rotation = camera.cam2world[0, :3, :3]
    focal = camera.intrinsics[0].diagonal()[:2]
    if not torch.allclose(rotation @ rotation.T, torch.eye(3), atol=0.02) or torch.linalg.det(rotation) < 0:
        raise InputError(f"The label of {photo.path} is no camera: its first 16 numbers hold no rotation.")
    if not ((focal > 0.1) & (focal < 100)).all():
        raise InputError(
            f"The label of {photo.path} has the focal lengths {focal.tolist()}; they are divided by the image's side, "
            "4.26 for EG3D's crops."
        )
    return camera


def _original(name: str) -> str:
    """The name without ending that a mirrored copy has its name from; empty for other names."""
    stem = PurePosixPath(name).with_suffix("").as_posix()
    return stem.removesuffix(MIRROR_ENDING) if stem.endswith(MIRROR_ENDING) else ""


def _conf_map(folder: Path, name: str) -> Path | None:
    """Its uncertainty of the flip; the published code cuts four characters off, whatever the ending."""
    file = PurePosixPath(name).name
    for stem in dict.fromkeys([PurePosixPath(file).stem, file[:-4]]):
        path = folder / CONF_MAPS / f"{stem}.npy"
        if path.is_file():
            return path
    return None
