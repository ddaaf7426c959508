"""Prepared faces by number, as training and measuring read them: a folder or a zip, made by us or as published."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..camera import Camera
from ..errors import InputError
from .folder import PHOTO_SUFFIXES
from .prepared_folder import LABELS_FILE, PreparedPhoto, is_prepared, read_prepared, resized_crop

Mirrored = Literal["stored", "added", "none"]
"""Mirrored copies: those that the data set has; one of every photo, made on the fly; none."""

Item = tuple[Float[Tensor, "3 r r"], Float[Tensor, " 25"], Float[Tensor, "r r"] | None, str]


class FaceDataset:
    """The crops of a data set with their cameras, in the order of their names.

    An item is (image [3,R,R] in [-1,1], label [25], mirror_sigma [R,R] or None, name). The uncertainty of the flip lies
    on the flipped image; larger = less sure. Files are read when they are asked for. It can be sent to other processes.

    Args:
        path: a folder or zip with dataset.json in EG3D's format, and conf_map/ if there are uncertainties.
        resolution: side of all images in pixels: larger crops are reduced; None: the side of the first crop.
        mirrored: which mirrored copies are items. Those made on the fly follow after all photos, so that item i + n of
            2 n is the copy of item i.
        need_mirror_sigma: refuse a data set in which a photo has no stored uncertainty of its flip.

    Raises:
        InputError: not a prepared data set, an empty one, labels without crops, crops without labels, no uncertainty
            where it is needed, a label that is not 25 finite numbers. The message names files.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        resolution: int | None = None,
        mirrored: Mirrored = "stored",
        need_mirror_sigma: bool = False,
    ) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise InputError(f"There is no folder or zip archive '{self.path}'.")
        if mirrored not in ("stored", "added", "none"):
            raise InputError(f"mirrored must be 'stored', 'added' or 'none'; got {mirrored!r}.")
        if not is_prepared(self.path):
            raise InputError(
                f"{self.path} is no prepared data set: it has no {LABELS_FILE}. "
                f"Run 'threedpsp prepare {self.path} -o DATASET' and use DATASET."
            )
        prepared = read_prepared(self.path, PHOTO_SUFFIXES)
        photos = prepared.photos if mirrored != "stored" else (*prepared.photos, *prepared.copies)
        self.photos: tuple[PreparedPhoto, ...] = tuple(sorted(photos, key=lambda photo: photo.name))
        self.adds_mirrored = mirrored == "added"
        self._refuse_faults(need_mirror_sigma)
        self._resolution = resolution
        self.resolution = resolution or self.photos[0].pixels().image.shape[0]

    def __len__(self) -> int:
        return len(self.photos) * (2 if self.adds_mirrored else 1)

    @property
    def has_mirror_sigma(self) -> bool:
        """Whether every photo has a stored uncertainty of its flip."""
        return all(photo.conf_map is not None for photo in self.photos)

    def __getitem__(self, index: int) -> Item:
        """One photo, see the class.

        Raises:
            InputError: its file cannot be read, has another size than the others, or its label is no camera; the
                message names the file.
            IndexError: there is no such item.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} items; there is no item {index}.")
        index %= len(self)
        photo = self.photos[index % len(self.photos)]
        label = photo.camera().label[0]
        pixels = photo.pixels().image
        side = pixels.shape[0]
        if side != self.resolution and (self._resolution is None or side < self.resolution):
            expected = "the first crop has" if self._resolution is None else "at least these are needed:"
            raise InputError(
                f"{photo.path} has {side} x {side} pixels; {expected} {self.resolution} x {self.resolution}. Prepare "
                "the photos anew with one size, or choose a smaller resolution."
            )
        chosen = resized_crop(pixels, self.resolution)
        image = torch.from_numpy(chosen.copy()).permute(2, 0, 1).float() / 127.5 - 1
        sigma = photo.mirror_sigma(self.resolution)
        if index < len(self.photos):
            return image, label, sigma, photo.name
        mirrored = Camera.from_label(label[None]).mirrored().label[0]
        return image.flip(2), mirrored, None if sigma is None else sigma.flip(1), f"{photo.name} (mirrored)"

    def _refuse_faults(self, need_mirror_sigma: bool) -> None:
        """What can be found without reading pictures."""
        if not self.photos:
            raise InputError(f"{self.path} holds no prepared photos: its {LABELS_FILE} names none.")
        named = [photo for photo in self.photos if photo.label is not None]
        missing = [
            photo.name
            for photo in named
            if not (photo.path.is_file() if photo.archive is None else photo.name in photo.archive)
        ]
        if missing:
            raise InputError(f"{self.path}: {LABELS_FILE} names files that are not there: {_some(missing)}.")
        unlabelled = [photo.name for photo in self.photos if photo.label is None]
        if unlabelled:
            raise InputError(
                f"{self.path}: these have no camera, {LABELS_FILE} does not name them: {_some(unlabelled)}. "
                "Add their labels, take them out, or prepare the photos anew."
            )
        without = [photo.name for photo in self.photos if photo.conf_map is None]
        if need_mirror_sigma and without:
            raise InputError(
                f"{self.path}: these have no stored uncertainty of their flip (conf_map/): {_some(without)}. "
                f"Run 'threedpsp prepare {self.path} -o DATASET', which adds what is missing, and use DATASET."
            )


def _some(names: list[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
