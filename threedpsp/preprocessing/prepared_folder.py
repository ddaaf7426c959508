"""A data set that is prepared already, by us or as published: crops, dataset.json, conf_map/; a folder or a zip."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..camera import LABEL_DIM, Camera
from ..errors import InputError, MissingDependencyError
from ..types import FaceCrop
from .file_store import FileStore, is_safe_name, is_zip
from .landmarks import detect_faces
from .mirror_sigma import SigmaBackend, estimate_mirror_sigma, load_conf_map
from .photo import Photo, load_photo

LABELS_FILE = "dataset.json"
CONF_MAPS = "conf_map"
MIRROR_ENDING = "_mirror"  # of the copies that the published preprocessing makes for training
SMALLEST_SIDE = 16
LARGEST = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class PreparedPhoto:
    """One crop of such a data set.

    path: the crop; inside an archive, a name for it. name: as dataset.json has it. label: EG3D's 25 numbers, None where
    dataset.json lacks them. conf_map: the uncertainty of its flip, a .npy, or None. conf_map_is_original: that map is
    the one of the photo that this is a mirrored copy of. archive: the zip that they are in, if they are.
    """

    path: Path
    name: str
    label: tuple[float, ...] | None
    conf_map: Path | None = None
    conf_map_is_original: bool = False
    archive: FileStore | None = None

    def __str__(self) -> str:
        return str(self.path)

    def pixels(self) -> Photo:
        """The crop, decoded.

        Raises:
            InputError: an image that is none, or not square.
        """
        if self.archive is None:
            photo = load_photo(self.path)
        else:
            content = self.archive.read(self.name)
            try:
                photo = load_photo(content)
            except InputError as error:
                raise InputError(f"{self.path}: {error}") from error
        height, width = photo.image.shape[:2]
        if height != width or height < SMALLEST_SIDE:
            raise InputError(f"{self.path} is no crop: {width} x {height} pixels, where a square is expected.")
        return photo

    def camera(self) -> Camera:
        """The label as a camera.

        Raises:
            InputError: there is none, or it is no camera.
        """
        if self.label is None:
            raise InputError(
                f"{self.path} has no camera: {LABELS_FILE} does not name it. Add its label, or prepare the photo anew."
            )
        return _camera(self)

    def mirror_sigma(self, side: int) -> Float[Tensor, "r r"] | None:
        """The stored uncertainty of the flip, on the flipped photo, or None.

        Raises:
            InputError: its file is damaged.
        """
        if self.conf_map is None:
            return None
        content = self.conf_map_content() if self.archive is not None else None
        sigma = load_conf_map(self.conf_map, side, content)
        return sigma.flip(1) if self.conf_map_is_original else sigma

    def conf_map_content(self) -> bytes:
        """The bytes of its stored uncertainty."""
        if self.conf_map is None:
            raise InputError(f"{self.path} has no stored uncertainty of its flip.")
        if self.archive is None:
            return self.conf_map.read_bytes()
        return self.archive.read(self.conf_map.relative_to(self.archive.path).as_posix())


@dataclass(frozen=True)
class PreparedFolder:
    """photos: the crops, sorted by name. copies: mirrored copies of them, which `photos` leaves out, sorted too."""

    photos: tuple[PreparedPhoto, ...]
    copies: tuple[PreparedPhoto, ...]

    @property
    def mirrored(self) -> tuple[str, ...]:
        """Names of the mirrored copies."""
        return tuple(copy.name for copy in self.copies)


def is_prepared(folder: str | Path) -> bool:
    """Whether a folder or a zip archive says of itself that it is prepared: it has a dataset.json.

    Raises:
        InputError: an archive that cannot be read.
    """
    folder = Path(folder)
    if is_zip(folder) and folder.is_file():
        return LABELS_FILE in FileStore(folder)
    return (folder / LABELS_FILE).is_file()


def read_prepared(folder: str | Path, suffixes: frozenset[str]) -> PreparedFolder:
    """The crops of a prepared folder: those that dataset.json names, and images beside it that it does not.

    Mirrored copies (`name_mirror.png` beside `name.png`) are left out: they are the same photos.

    Args:
        folder: the folder or zip archive; dataset.json holds {"labels": [[name, [25 numbers]], ...]}, names relative
            to it.
        suffixes: endings of images, lower case.

    Raises:
        InputError: dataset.json cannot be read, has another structure, or names files outside the folder.
    """
    store = FileStore(folder)
    labels = _read_labels(store)
    present = store.names if store.zipped else tuple(p.name for p in store.path.iterdir() if not p.name.startswith("."))
    beside = {name for name in present if PurePosixPath(name).suffix.lower() in suffixes}
    names = sorted({*labels, *beside})
    stems = {PurePosixPath(name).with_suffix("").as_posix() for name in names}
    maps = _conf_maps(store)
    archive = store if store.zipped else None
    photos: list[PreparedPhoto] = []
    copies: list[PreparedPhoto] = []
    for name in names:
        original = _original(name)
        is_copy = original in stems
        found = _conf_map(maps, name)
        of_original = found is None and is_copy
        if of_original:
            found = _conf_map(maps, original + PurePosixPath(name).suffix)
        path = None if found is None else store.location(found)
        (copies if is_copy else photos).append(
            PreparedPhoto(store.location(name), name, labels.get(name), path, of_original and path is not None, archive)
        )
    return PreparedFolder(tuple(photos), tuple(copies))


def load_prepared(photo: PreparedPhoto, size: int | None = None, sigma_backend: SigmaBackend = "builtin") -> FaceCrop:
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
    camera = photo.camera()
    loaded = photo.pixels()
    pixels = resized_crop(loaded.image, size)
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    points, notes = _landmarks(pixels)
    stored = photo.mirror_sigma(image.shape[3])
    sigma = None if stored is None else stored[None]
    if sigma is None and (points is not None or sigma_backend != "builtin"):
        known = torch.zeros(1, 0, 2) if points is None else points  # ConfNet does not look at them
        sigma = estimate_mirror_sigma(image, known, camera, sigma_backend)
    return FaceCrop(image, camera, sigma, None, points, (*loaded.notes, "Prepared already; not aligned again.", *notes))


def resized_crop(pixels: np.ndarray, side: int | None) -> np.ndarray:
    """A crop [R,R,3] uint8 at another side; None: as it is."""
    if side is None or side == pixels.shape[0]:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))


def _landmarks(pixels: np.ndarray) -> tuple[Tensor | None, tuple[str, ...]]:
    """The largest face's points in the crop, [1,478,2], or a note that says why there are none."""
    try:
        faces = detect_faces(pixels)
    except MissingDependencyError as error:
        return None, (f"Identity cannot be measured: {error}",)
    if not faces:
        return None, ("No face was found in the crop, so its identity cannot be measured.",)
    return torch.tensor(faces[0].points[None], dtype=torch.float32), ()


def _read_labels(store: FileStore) -> dict[str, tuple[float, ...]]:
    """Name -> label."""
    path = store.location(LABELS_FILE)
    try:
        content = json.loads(store.read(LABELS_FILE).decode("utf-8"))
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
        if not is_safe_name(name):
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


def _conf_maps(store: FileStore) -> set[str]:
    """Names of the stored uncertainties."""
    if store.zipped:
        return {name for name in store.names if name.startswith(f"{CONF_MAPS}/")}
    folder = store.path / CONF_MAPS
    return {f"{CONF_MAPS}/{path.name}" for path in folder.iterdir()} if folder.is_dir() else set()


def _conf_map(maps: set[str], name: str) -> str | None:
    """Its uncertainty of the flip; the published code cuts four characters off, whatever the ending."""
    file = PurePosixPath(name).name
    stems = dict.fromkeys([PurePosixPath(file).stem, file[:-4]])
    return next((found for stem in stems if (found := f"{CONF_MAPS}/{stem}.npy") in maps), None)
