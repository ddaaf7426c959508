"""One photo of a data set: from its file to crops, labels and maps on disk; what became of it."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from ..errors import InputError
from ..output import atomic_write
from ..types import FaceCrop
from .align import Border
from .confnet import ConfNet
from .deep3d import Deep3D
from .file_store import FileStore
from .landmarks import detect_faces
from .mirror_sigma import SigmaBackend, save_conf_map, save_stored_map
from .photo import load_photo
from .prepare import FaceChoice, prepare_photo
from .prepared_folder import CONF_MAPS, MIRROR_ENDING, PreparedPhoto, load_prepared

FacesChoice = FaceChoice | Literal["all"]


@dataclass(frozen=True)
class CropEntry:
    """One crop that was written. name: its file. label: EG3D's 25 numbers."""

    name: str
    label: tuple[float, ...]


@dataclass(frozen=True)
class PhotoReport:
    """What became of one photo.

    source: its name. crops: what was written, mirrored copies among them. error: why there is nothing, and kind: the
    error's class. stamp: size, time and settings, to know later whether it has to be done again.
    """

    source: str
    crops: tuple[CropEntry, ...] = ()
    error: str | None = None
    kind: str | None = None
    notes: tuple[str, ...] = ()
    stamp: str = ""

    @property
    def output(self) -> str | None:
        """The first crop's file, or None."""
        return self.crops[0].name if self.crops else None

    @property
    def label(self) -> tuple[float, ...] | None:
        """The first crop's label, or None."""
        return self.crops[0].label if self.crops else None

    def as_data(self) -> dict[str, Any]:
        """As report.json has it."""
        return asdict(self)

    @staticmethod
    def from_data(data: dict[str, Any]) -> PhotoReport:
        """Back from report.json.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        crops = tuple(CropEntry(str(c["name"]), tuple(float(v) for v in c["label"])) for c in data["crops"])
        source, error, kind, stamp = data["source"], data["error"], data["kind"], data["stamp"]
        return PhotoReport(str(source), crops, error, kind, tuple(data["notes"]), str(stamp))


@dataclass(frozen=True)
class CropSettings:
    """How photos become crops; see `prepare_folder`."""

    face: FacesChoice = "largest"
    size: int = 512
    border: Border = "black"
    with_mirror_sigma: bool = True
    sigma_backend: SigmaBackend = "builtin"
    deep3d: Deep3D | None = None
    mirrored_copies: bool = False

    def stamp(self) -> str:
        """Changes where results change."""
        networks = [self.deep3d is not None, self.sigma_backend != "builtin"]
        return str([self.face, self.size, self.border, self.with_mirror_sigma, self.mirrored_copies, *networks])


@dataclass(frozen=True)
class Job:
    """One photo to do. source: its name in `store`. name: of its results, without ending. prepared: it is a crop."""

    store: FileStore
    source: str
    name: str
    stamp: str
    prepared: PreparedPhoto | None = None

    def do(self, settings: CropSettings, output: Path) -> PhotoReport:
        """Write crops and maps; a photo that cannot be used is no error, but reported."""
        try:
            crops, notes = self._crops(settings)
        except InputError as error:
            return PhotoReport(self.source, (), str(error), type(error).__name__, stamp=self.stamp)
        except MemoryError:
            text = "Not enough memory for this photo; make it smaller."
            return PhotoReport(self.source, (), text, "InputError", stamp=self.stamp)
        entries: list[CropEntry] = []
        for number, crop in enumerate(crops):
            name = f"{self.name}_face{number}" if settings.face == "all" and self.prepared is None else self.name
            entries += self._write(crop, name, settings, output)
        return PhotoReport(self.source, tuple(entries), None, None, notes, self.stamp)

    def _crops(self, settings: CropSettings) -> tuple[list[FaceCrop], tuple[str, ...]]:
        if self.prepared is not None:
            crop = load_prepared(self.prepared, settings.size, settings.sigma_backend)
            return [crop], crop.notes
        if self.store.zipped:
            photo = load_photo(self.store.read(self.source))
        else:
            photo = load_photo(self.store.path / self.source)
        faces = detect_faces(photo.image)
        choices: list[FaceChoice] = [settings.face] if settings.face != "all" else list(range(max(len(faces), 1)))
        crops: list[FaceCrop] = []
        notes = list(photo.notes)
        for choice in choices:
            try:
                crop = prepare_photo(
                    photo.image,
                    face=choice,
                    size=settings.size,
                    border=settings.border,
                    with_mirror_sigma=settings.with_mirror_sigma,
                    sigma_backend=settings.sigma_backend,
                    deep3d=settings.deep3d,
                    faces=faces,
                )
            except InputError as error:
                if len(choices) == 1 or (choice == choices[-1] and not crops):
                    raise
                notes.append(f"Face {choice} is left out: {error}")
                continue
            crops.append(crop)
            notes += crop.notes
        return crops, tuple(notes)

    def _write(self, crop: FaceCrop, name: str, settings: CropSettings, output: Path) -> list[CropEntry]:
        pixels = ((crop.image[0].permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
        copies = [(name, False), (f"{name}{MIRROR_ENDING}", True)] if settings.mirrored_copies else [(name, False)]
        entries = []
        for copy, mirrored in copies:
            if settings.with_mirror_sigma and crop.mirror_sigma is not None:
                self._write_map(crop, output / CONF_MAPS / f"{copy}.npy", settings.sigma_backend, mirrored)
            with atomic_write(output / f"{copy}.png", durable=False) as temporary:
                shown = np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels
                Image.fromarray(shown).save(temporary, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
            camera = crop.camera.mirrored() if mirrored else crop.camera
            entries.append(CropEntry(f"{copy}.png", tuple(camera.label[0].tolist())))
        return entries

    def _write_map(self, crop: FaceCrop, target: Path, backend: SigmaBackend, mirrored: bool) -> None:
        """The uncertainty of the flip; our own estimate for a mirrored photo is the mirrored estimate."""
        if self.prepared is not None and self.prepared.conf_map is not None and not mirrored:
            with atomic_write(target, durable=False) as temporary:
                temporary.write_bytes(self.prepared.conf_map_content())
        elif isinstance(backend, ConfNet) and (self.prepared is None or self.prepared.conf_map is None):
            # as the published preprocessing stores it, whatever the crop's size
            save_stored_map(target, backend.stored_map(crop.image.flip(3) if mirrored else crop.image)[0])
        elif crop.mirror_sigma is not None:
            save_conf_map(target, crop.mirror_sigma[0].flip(1) if mirrored else crop.mirror_sigma[0])


def output_names(photos: Sequence[Path | PurePosixPath]) -> list[str]:
    """A name without ending for every photo, unique also where upper and lower case are the same, whatever the order.

    The photo's own stem. Where several photos share it, or it is that of another's mirrored copy, its folders and its
    ending are added.
    """
    shared = Counter(path.stem.lower() for path in photos)
    plain = {
        path.stem.lower()
        for path in photos
        if shared[path.stem.lower()] == 1 and not _is_copy_of(path.stem.lower(), shared)
    }
    folders = [[part for part in path.parent.parts if part != path.anchor] for path in photos]
    long = ["_".join([*inside, p.stem, p.suffix[1:]]) for p, inside in zip(photos, folders, strict=True)]
    names = [p.stem if p.stem.lower() in plain else name for p, name in zip(photos, long, strict=True)]
    taken = set(plain)
    unique: list[str] = []
    for path, name in zip(photos, names, strict=True):
        tried, count = name, 1
        while path.stem.lower() not in plain and tried.lower() in taken:
            count += 1
            tried = f"{name}_{count}"
        taken.add(tried.lower())
        unique.append(tried)
    return unique


def _is_copy_of(stem: str, others: Counter[str]) -> bool:
    return stem.endswith(MIRROR_ENDING) and others[stem.removesuffix(MIRROR_ENDING)] > 0


def photo_jobs(store: FileStore, names: Sequence[str], settings: CropSettings) -> list[Job]:
    """The jobs for photos."""
    jobs = [Job(store, n, o, "") for n, o in zip(names, output_names([PurePosixPath(n) for n in names]), strict=True)]
    return [replace(job, stamp=f"{store.stamp(job.source)} {settings.stamp()}") for job in jobs]


def prepared_jobs(store: FileStore, photos: Sequence[PreparedPhoto], settings: CropSettings) -> list[Job]:
    """The jobs for crops that are prepared already."""
    jobs = []
    for photo, name in zip(photos, output_names([PurePosixPath(p.name) for p in photos]), strict=True):
        states = [store.stamp(photo.name), str(photo.label)]
        if photo.conf_map is not None:
            states.append(store.stamp(photo.conf_map.relative_to(store.path).as_posix()))
        jobs.append(Job(store, photo.name, name, " ".join(["prepared", *states, settings.stamp()]), photo))
    return jobs


TEMPORARY = r"\..*\.[0-9a-f]{8}(\.\w+)?"
"""What `atomic_write` names its temporary files."""
