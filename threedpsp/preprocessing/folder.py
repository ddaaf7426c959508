"""A folder or zip of photos, or of crops prepared already -> a data set as EG3D has them, going on past bad files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import InputError
from ..output import output_dir, sole_writer
from .align import Border
from .data_set_files import (
    Journal,
    is_whole,
    pack,
    read_done,
    remove_files,
    remove_temporary_files,
    unpack,
    write_lists,
)
from .deep3d import Deep3D
from .file_store import FileStore, is_zip
from .mirror_sigma import SigmaBackend
from .photo_jobs import CropSettings, FacesChoice, Job, PhotoReport, output_names, photo_jobs, prepared_jobs
from .prepared_folder import CONF_MAPS, LABELS_FILE, is_prepared, read_prepared
from .workers import do_jobs

__all__ = ["PHOTO_SUFFIXES", "FolderReport", "PhotoReport", "output_names", "prepare_folder"]

PHOTO_SUFFIXES = frozenset(".avif .bmp .gif .heic .heif .jfif .jpeg .jpg .jp2 .png .ppm .tif .tiff .webp".split())


@dataclass(frozen=True)
class FolderReport:
    """photos: one entry per photo, in order. kept: how many were done already. ignored: files that are no photos."""

    photos: tuple[PhotoReport, ...]
    kept: int
    ignored: tuple[str, ...]

    @property
    def failed(self) -> tuple[PhotoReport, ...]:
        """The photos that gave no crop."""
        return tuple(photo for photo in self.photos if not photo.crops)


def prepare_folder(
    source: str | Path,
    output: str | Path,
    *,
    face: FacesChoice = "largest",
    size: int = 512,
    border: Border = "black",
    with_mirror_sigma: bool = True,
    sigma_backend: SigmaBackend = "builtin",
    deep3d: Deep3D | None = None,
    mirrored_copies: bool = False,
    workers: int = 1,
    on_photo: Callable[[PhotoReport, int, int], None] | None = None,
) -> FolderReport:
    """Prepare every photo below a folder or in a zip archive, or complete a data set that is prepared already.

    Writes `<name>.png`, `conf_map/<name>.npy` (uncertainty of the flip, float32 [256,256], lying on the photo as it
    is, as 3DpSp stores it), `dataset.json` (EG3D's labels) and `report.json`, into a folder or a zip archive. Every
    file is whole or not there; the lists and the archive come last. Photos of the same name in several folders or with
    several endings keep apart (`a_jpg.png`, `a_png.png`). Run again after a stop or a kill: what is done, from the same
    file with the same settings, is kept, and the result is the same as without the stop.

    A source with a dataset.json of its own is prepared already: nothing is aligned again, cameras come from its labels
    and uncertainties from its conf_map; what it lacks of the latter is estimated, and mirrored copies are left out.

    Args:
        source: photos, or crops with dataset.json and conf_map; a folder or a zip archive.
        output: folder for the results, another one, made if needed; or a name that ends in .zip, written at the end
            from a work folder beside it.
        face: see `prepare_photo`; or "all", every face large enough, `<name>_face0.png` the largest.
        size: side of the crops in pixels.
        border: see `prepare_photo`.
        with_mirror_sigma: write conf_map.
        sigma_backend: where it comes from; see `estimate_mirror_sigma`. A stored one is taken as it is.
        deep3d: see `prepare_photo`.
        mirrored_copies: also write `<name>_mirror.png` with mirrored label and conf_map.
        workers: processes that share the work; 1: this one alone. The results are the same.
        on_photo: called after each photo with its report, its number from 1, and how many there are.

    Raises:
        InputError: `source` is neither a folder nor an archive, or is the same as `output`.
        OutputError: something cannot be written, or another run writes there. Bad photos do not raise, they are in the
            report.
        MissingDependencyError: mediapipe or its model is missing.
        ThreeDPSPError: a worker process was ended from outside.
    """
    source, output = Path(source), Path(output)
    if workers < 1:
        raise InputError(f"workers must be at least 1; got {workers}.")
    if size < 16:
        raise InputError(f"size must be at least 16 pixels; got {size}.")
    folder = output.with_name(f".{output.name}.work") if is_zip(output) else output
    if output.exists() and source.exists() and output.samefile(source):
        raise InputError(f"Results must go to another folder or archive than the photos ('{source}').")
    store = FileStore(source, leave_out=folder)
    settings = CropSettings(face, size, border, with_mirror_sigma, sigma_backend, deep3d, mirrored_copies)
    jobs, ignored = _jobs(store, settings)
    with output_dir(output.parent), output_dir(folder), output_dir(folder / CONF_MAPS), sole_writer(folder):
        if is_zip(output) and output.is_file() and not any((folder / CONF_MAPS).iterdir()):
            unpack(output, folder)
        report = _prepare(jobs, settings, folder, ignored, workers, on_photo)
    if is_zip(output) and folder.is_dir():
        pack(folder, output)
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _jobs(store: FileStore, settings: CropSettings) -> tuple[list[Job], tuple[str, ...]]:
    """What is to be done, and the names of the files that are left out."""
    if is_prepared(store.path):
        prepared = read_prepared(store.path, PHOTO_SUFFIXES)
        return prepared_jobs(store, prepared.photos, settings), prepared.mirrored
    photos = [name for name in store.names if PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES]
    chosen = set(photos)
    others = tuple(name for name in store.names if name not in chosen)
    return photo_jobs(store, photos, settings), (*others, *store.unsafe)


def _prepare(
    jobs: Sequence[Job],
    settings: CropSettings,
    folder: Path,
    ignored: tuple[str, ...],
    workers: int,
    on_photo: Callable[[PhotoReport, int, int], None] | None,
) -> FolderReport:
    remove_temporary_files(folder)
    before = read_done(folder)
    kept = {job.source: before[job.source] for job in jobs if _is_done(job, before, settings, folder)}
    to_do = [job for job in jobs if job.source not in kept]
    if to_do:
        (folder / LABELS_FILE).unlink(missing_ok=True)  # until it fits the crops again
    photos: list[PhotoReport] = []
    with Journal(folder) as journal:
        made = do_jobs(to_do, settings, folder, workers)
        for number, job in enumerate(jobs, 1):
            old = kept.get(job.source)
            if old is None:
                photos.append(next(made))
                journal.add(photos[-1])
            else:
                photos.append(old)
            if on_photo is not None:
                on_photo(photos[-1], number, len(jobs))
    if jobs:
        remove_files(folder, before.values(), photos)
        write_lists(folder, photos, ignored)
    return FolderReport(tuple(photos), len(kept), ignored)


def _is_done(job: Job, before: dict[str, PhotoReport], settings: CropSettings, folder: Path) -> bool:
    """Whether an earlier run did this job, as it would be done now."""
    old = before.get(job.source)
    if old is None or old.stamp != job.stamp or old.output is None:
        return False
    expected = f"{job.name}_face" if settings.face == "all" and job.prepared is None else f"{job.name}."
    maps = settings.with_mirror_sigma and job.prepared is None  # a crop in which nobody is found has none
    return old.output.startswith(expected) and is_whole(folder, old, maps)
