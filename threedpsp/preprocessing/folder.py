"""A folder of photos, or one prepared already -> a folder in EG3D's data set format, going on past bad files."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..errors import InputError
from ..output import atomic_write, output_dir
from ..types import FaceCrop
from .align import Border
from .confnet import ConfNet
from .deep3d import Deep3D
from .mirror_sigma import SigmaBackend, save_conf_map, save_stored_map
from .prepare import FaceChoice, prepare_photo
from .prepared_folder import is_prepared, load_prepared, read_prepared

PHOTO_SUFFIXES = frozenset(".avif .bmp .gif .heic .heif .jfif .jpeg .jpg .jp2 .png .ppm .tif .tiff .webp".split())
SAVE_EVERY = 20  # photos between two writes of the lists


@dataclass(frozen=True)
class PhotoReport:
    """What became of one photo.

    source: its file name. output: the crop's, or None. error: why there is none. label: EG3D's 25 numbers.
    stamp: size, time and settings, to know later whether it has to be done again.
    """

    source: str
    output: str | None
    error: str | None = None
    notes: tuple[str, ...] = ()
    label: tuple[float, ...] | None = None
    stamp: str = ""


@dataclass(frozen=True)
class FolderReport:
    """photos: one entry per photo, in order. kept: how many were done already. ignored: files that are no photos."""

    photos: tuple[PhotoReport, ...]
    kept: int
    ignored: tuple[str, ...]

    @property
    def failed(self) -> tuple[PhotoReport, ...]:
        """The photos that gave no crop."""
        return tuple(photo for photo in self.photos if photo.output is None)


def prepare_folder(
    source: str | Path,
    output: str | Path,
    *,
    face: FaceChoice = "largest",
    size: int = 512,
    border: Border = "black",
    with_mirror_sigma: bool = True,
    sigma_backend: SigmaBackend = "builtin",
    deep3d: Deep3D | None = None,
    on_photo: Callable[[PhotoReport, int, int], None] | None = None,
) -> FolderReport:
    """Prepare every photo in a folder (not deeper), or complete a folder that is prepared already.

    Writes `<name>.png`, `conf_map/<name>.npy` (uncertainty of the flip, float32 [256,256], lying on the photo as it
    is, as 3DpSp stores it), `dataset.json` (EG3D's labels) and `report.json`. Every file is whole or not there.
    Photos of the same name and different endings keep apart (`a_jpg.png`, `a_png.png`). Run again after a stop: what is
    done, from the same file with the same settings, is kept.

    A source with a dataset.json of its own is prepared already: nothing is aligned again, cameras come from its labels
    and uncertainties from its conf_map; what it lacks of the latter is estimated, and mirrored copies are left out.

    Args:
        source: folder with photos, or with crops, dataset.json and conf_map.
        output: folder for the results, another one; made if needed.
        face: see `prepare_photo`.
        size: side of the crops in pixels.
        border: see `prepare_photo`.
        with_mirror_sigma: write conf_map.
        sigma_backend: where it comes from; see `estimate_mirror_sigma`. A stored one is taken as it is.
        deep3d: see `prepare_photo`.
        on_photo: called after each photo with its report, its number from 1, and how many there are.

    Raises:
        InputError: `source` is not a folder, or is the same as `output`.
        OutputError: something cannot be written; bad photos do not raise, they are in the report.
        MissingDependencyError: mediapipe or its model is missing.
    """
    source, output = Path(source), Path(output)
    if not source.is_dir():
        raise InputError(f"There is no folder '{source}'.")
    if output.exists() and output.samefile(source):
        raise InputError(f"Results must go to another folder than the photos ('{source}').")
    networks = ([] if deep3d is None else ["deep3d"]) + ([] if sigma_backend == "builtin" else ["unsup3d"])
    if is_prepared(source):
        photos, ignored = _prepared_jobs(source, size, sigma_backend)
        settings = json.dumps(["prepared", size, with_mirror_sigma, *networks])
    else:
        make = partial(
            prepare_photo,
            face=face,
            size=size,
            border=border,
            with_mirror_sigma=with_mirror_sigma,
            sigma_backend=sigma_backend,
            deep3d=deep3d,
        )
        files = sorted(p for p in source.iterdir() if p.is_file() and not p.name.startswith("."))
        photos = [_Job(p, p.name, partial(make, p)) for p in files if p.suffix.lower() in PHOTO_SUFFIXES]
        ignored = tuple(p.name for p in files if p.suffix.lower() not in PHOTO_SUFFIXES)
        settings = json.dumps([face, size, border, with_mirror_sigma, *networks])
    results: list[PhotoReport] = []
    kept = 0
    with output_dir(output), output_dir(output / "conf_map"):
        before = _read_report(output)
        try:
            names = output_names([job.path for job in photos])
            for number, (job, name) in enumerate(zip(photos, names, strict=True), 1):
                stamp = f"{job.state()} {settings}"
                old = before.get(job.source)
                if old is not None and old.output == f"{name}.png" and old.stamp == stamp and _is_whole(output, old):
                    kept += 1
                    results.append(old)
                else:
                    results.append(_do(job, output, name, stamp, with_mirror_sigma, sigma_backend))
                if on_photo is not None:
                    on_photo(results[-1], number, len(photos))
                if number % SAVE_EVERY == 0:
                    _write_lists(output, results, before)
        finally:
            _write_lists(output, results, before if len(results) < len(photos) else {})
    return FolderReport(tuple(results), kept, ignored)


def output_names(photos: list[Path]) -> list[str]:
    """A name without ending for every photo, unique also where upper and lower case are the same, whatever the order.

    The photo's own stem; where several photos share it, its ending is added.
    """
    shared = Counter(path.stem.lower() for path in photos)
    names = [p.stem if shared[p.stem.lower()] == 1 else f"{p.stem}_{p.suffix[1:]}" for p in photos]
    taken = {path.stem.lower() for path in photos if shared[path.stem.lower()] == 1}
    unique: list[str] = []
    for path, name in zip(photos, names, strict=True):
        tried, count = name, 1
        while name != path.stem and tried.lower() in taken:
            count += 1
            tried = f"{name}_{count}"
        taken.add(tried.lower())
        unique.append(tried)
    return unique


@dataclass(frozen=True)
class _Job:
    """One photo to do. source: its name in the report. make: makes the crop. conf_map: a stored one, taken as it is."""

    path: Path
    source: str
    make: Callable[[], FaceCrop]
    conf_map: Path | None = None
    label: tuple[float, ...] | None = None

    def state(self) -> str:
        """What changes when the result has to be made again: sizes and times of the files, and the label."""
        parts = [] if self.label is None else [str(self.label)]
        for path in (self.path, self.conf_map):
            if path is not None and path.is_file():
                parts.append(f"{path.stat().st_size} {path.stat().st_mtime_ns}")
        return " ".join(parts)


def _prepared_jobs(source: Path, size: int, sigma_backend: SigmaBackend) -> tuple[list[_Job], tuple[str, ...]]:
    """The photos of a prepared folder, and what is left out of it."""
    folder = read_prepared(source, PHOTO_SUFFIXES)
    make = partial(load_prepared, size=size, sigma_backend=sigma_backend)
    jobs = [_Job(p.path, p.name, partial(make, p), p.conf_map, p.label) for p in folder.photos]
    return jobs, folder.mirrored


def _do(
    job: _Job, output: Path, name: str, stamp: str, with_mirror_sigma: bool, sigma_backend: SigmaBackend
) -> PhotoReport:
    try:
        crop = job.make()
    except InputError as error:
        return PhotoReport(job.source, None, str(error), stamp=stamp)
    except MemoryError:
        return PhotoReport(job.source, None, "Not enough memory for this photo; make it smaller.", stamp=stamp)
    if with_mirror_sigma and crop.mirror_sigma is not None:
        target = output / "conf_map" / f"{name}.npy"
        if job.conf_map is not None:
            with atomic_write(target) as temporary:
                shutil.copyfile(job.conf_map, temporary)
        elif isinstance(sigma_backend, ConfNet):  # as the published preprocessing stores it, whatever the crop's size
            save_stored_map(target, sigma_backend.stored_map(crop.image)[0])
        else:
            save_conf_map(target, crop.mirror_sigma[0])
    pixels = ((crop.image[0].permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
    with atomic_write(output / f"{name}.png") as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
    label = tuple(crop.camera.label[0].tolist())
    return PhotoReport(job.source, f"{name}.png", None, crop.notes, label, stamp)


def _is_whole(output: Path, photo: PhotoReport) -> bool:
    return photo.output is not None and photo.label is not None and (output / photo.output).is_file()


def _read_report(output: Path) -> dict[str, PhotoReport]:
    """What an earlier run left; nothing where it is missing or unreadable."""
    try:
        entries: list[dict[str, Any]] = json.loads((output / "report.json").read_text("utf-8"))["photos"]
        return {
            entry["source"]: PhotoReport(
                entry["source"],
                entry["output"],
                entry["error"],
                tuple(entry["notes"]),
                None if entry["label"] is None else tuple(entry["label"]),
                entry["stamp"],
            )
            for entry in entries
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write_lists(output: Path, results: list[PhotoReport], before: dict[str, PhotoReport]) -> None:
    """dataset.json and report.json; photos of an earlier run that this one has not come to yet stay listed."""
    done = {photo.source for photo in results}
    photos = results + [photo for source, photo in before.items() if source not in done]
    labels = [[photo.output, list(photo.label)] for photo in photos if photo.output and photo.label]
    with atomic_write(output / "dataset.json") as temporary:
        temporary.write_text(json.dumps({"labels": labels}, indent=1), "utf-8")
    with atomic_write(output / "report.json") as temporary:
        temporary.write_text(json.dumps({"photos": [asdict(photo) for photo in photos]}, indent=1), "utf-8")
