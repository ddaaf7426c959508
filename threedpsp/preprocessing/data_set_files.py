"""The files of a data set that is being made: the journal of what is done, the lists, the archive."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from ..errors import InputError
from ..output import atomic_write, output_error
from .file_store import FileStore, is_safe_name
from .photo_jobs import TEMPORARY, PhotoReport
from .prepared_folder import CONF_MAPS, LABELS_FILE

PNG_END = b"IEND\xaeB`\x82"
REPORT_FILE = "report.json"
JOURNAL_FILE = ".prepare.jsonl"  # one line for each photo that is done, until the lists are written


class Journal:
    """What is done so far; a line is written after all files of its photo are in place.

    A kill loses at most photos that had no line yet; they are done again, with the same results.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL_FILE
        self._file: IO[str] | None = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, photo: PhotoReport) -> None:
        """A photo is done.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            if self._file is None:
                self._file = open(self.path, "a", encoding="utf-8")
                self._file.write("\n")  # after a line that a kill cut off
            self._file.write(json.dumps(photo.as_data()) + "\n")
            self._file.flush()
        except OSError as error:
            raise output_error(self.path, error) from error


def read_done(folder: Path) -> dict[str, PhotoReport]:
    """What earlier runs did: by the lists, then by the journal; whatever is unreadable is done again."""
    done: dict[str, PhotoReport] = {}
    try:
        photos = json.loads((folder / REPORT_FILE).read_text("utf-8"))["photos"]
        done = {photo.source: photo for photo in map(PhotoReport.from_data, photos)}
    except (OSError, ValueError, KeyError, TypeError):
        done = {}
    try:
        lines = (folder / JOURNAL_FILE).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        try:
            photo = PhotoReport.from_data(json.loads(line))
        except (ValueError, KeyError, TypeError):
            continue
        done[photo.source] = photo
    return done


def is_whole(folder: Path, photo: PhotoReport, maps: bool) -> bool:
    """Whether all files of a photo that gave crops are there, and none was cut off by a power cut."""
    names = [crop.name for crop in photo.crops]
    if not names or not all(is_safe_name(name) for name in names):
        return False
    stored = [folder / CONF_MAPS / f"{Path(name).stem}.npy" for name in names if maps]
    return all(_ends_as_png(folder / name) for name in names) and all(_is_array(path) for path in stored)


def _ends_as_png(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            file.seek(-len(PNG_END), os.SEEK_END)
            return file.read() == PNG_END
    except OSError:
        return False


def _is_array(path: Path) -> bool:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False).size > 0
    except (OSError, ValueError):
        return False


def write_lists(folder: Path, photos: Sequence[PhotoReport], ignored: Sequence[str]) -> None:
    """dataset.json and report.json of a data set that is complete; the journal goes."""
    if hasattr(os, "sync"):
        os.sync()  # crops and maps, before the lists that name them
    labels = [[crop.name, list(crop.label)] for photo in photos for crop in photo.crops]
    with atomic_write(folder / LABELS_FILE) as temporary:
        temporary.write_text(json.dumps({"labels": labels}, indent=1), "utf-8")
    with atomic_write(folder / REPORT_FILE) as temporary:
        report = {"photos": [photo.as_data() for photo in photos], "ignored": list(ignored)}
        temporary.write_text(json.dumps(report, indent=1), "utf-8")
    (folder / JOURNAL_FILE).unlink(missing_ok=True)


def remove_files(folder: Path, photos: Iterable[PhotoReport], keep: Iterable[PhotoReport]) -> None:
    """Crops of earlier runs that do not belong to the data set any more."""
    kept = {crop.name for photo in keep for crop in photo.crops}
    for name in {crop.name for photo in photos for crop in photo.crops} - kept:
        if is_safe_name(name):
            (folder / name).unlink(missing_ok=True)
            (folder / CONF_MAPS / f"{Path(name).stem}.npy").unlink(missing_ok=True)


def remove_temporary_files(folder: Path) -> None:
    """What a kill left half written."""
    for place in (folder, folder / CONF_MAPS):
        for path in place.iterdir() if place.is_dir() else ():
            if re.fullmatch(TEMPORARY, path.name) and path.is_file():
                path.unlink(missing_ok=True)


def pack(folder: Path, archive: Path) -> None:
    """The data set as one archive that EG3D reads: files stored as they are, the same bytes for the same files.

    Raises:
        OutputError: it cannot be written; nothing is left behind.
    """
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    with atomic_write(archive) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as packed:
        for name in files:
            if not name.startswith("."):
                with open(folder / name, "rb") as source, packed.open(zipfile.ZipInfo(name), "w") as target:
                    shutil.copyfileobj(source, target)


def unpack(archive: Path, folder: Path) -> None:
    """What an earlier run packed, back into its work folder, so that it need not be done again."""
    try:
        store = FileStore(archive)
        listed = json.loads(store.read(REPORT_FILE).decode("utf-8"))["photos"]
        photos = [PhotoReport.from_data(photo) for photo in listed]
    except (InputError, ValueError, KeyError, TypeError):
        return  # somebody else's
    names = [crop.name for photo in photos for crop in photo.crops]
    for name in [*names, *(f"{CONF_MAPS}/{Path(name).stem}.npy" for name in names), REPORT_FILE]:
        if name in store and is_safe_name(name) and name.count("/") == (1 if name.startswith(f"{CONF_MAPS}/") else 0):
            with atomic_write(folder / name) as temporary:
                temporary.write_bytes(store.read(name))
