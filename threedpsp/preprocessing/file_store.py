"""Files by their relative names, in a folder or in a zip archive, for reading only; nothing is ever unpacked."""

from __future__ import annotations

import lzma
import os
import struct
import threading
import zipfile
import zlib
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError

LARGEST_FILE = 1 << 29  # bytes of one file of an archive, unpacked
MOST_FILES = 5_000_000

_DECODING_ERRORS = (zlib.error, lzma.LZMAError, EOFError, struct.error)
_ZIP_ERRORS = (zipfile.BadZipFile, NotImplementedError, RuntimeError, *_DECODING_ERRORS)


def is_safe_name(name: str) -> bool:
    """Whether a relative name with / between its parts stays inside its folder, on every system."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return bool(parts) and ".." not in parts and parts[0] != "/" and ":" not in parts[0] and "\0" not in name


def is_zip(path: str | Path) -> bool:
    """Whether a path is meant as an archive: by its ending."""
    return Path(path).suffix.lower() == ".zip"


class FileStore:
    """The files below a folder, or in a zip archive.

    Names have / between their parts. Hidden files are left out, as are names that lead out of an archive (`unsafe`).
    It can be sent to other processes; each opens the archive for itself.

    Args:
        path: the folder, or the archive (its name ends in .zip).
        leave_out: a folder inside the folder that is not looked into.

    Raises:
        InputError: neither is there, or the archive is damaged.
    """

    def __init__(self, path: str | Path, leave_out: Path | None = None) -> None:
        self.path = Path(path)
        self.leave_out = leave_out
        self.zipped = self.path.is_file()
        self._archive: tuple[int, zipfile.ZipFile] | None = None
        self._lock = threading.Lock()
        if self.zipped:
            self._open()
        elif not self.path.is_dir():
            raise InputError(f"There is no folder or zip archive '{self.path}'.")

    def __reduce__(self) -> tuple[Any, ...]:
        status = self.path.stat()
        return _opened, (self.path, self.leave_out, (status.st_size, status.st_mtime_ns))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        found = (name for name in self._entries if is_safe_name(name)) if self.zipped else self._walk()
        return tuple(sorted(name for name in found if not any(p.startswith(".") for p in name.split("/"))))

    @cached_property
    def unsafe(self) -> tuple[str, ...]:
        """Names in the archive that lead out of it."""
        return tuple(sorted(name for name in self._entries if not is_safe_name(name))) if self.zipped else ()

    @cached_property
    def _entries(self) -> dict[str, zipfile.ZipInfo]:
        return {info.filename.replace("\\", "/"): info for info in self._open().infolist() if not info.is_dir()}

    def __contains__(self, name: str) -> bool:
        return name in self._entries if self.zipped else is_safe_name(name) and (self.path / name).is_file()

    def location(self, name: str) -> Path:
        """Where a file is, for messages; a path that exists only for folders."""
        return self.path / name

    def stamp(self, name: str) -> str:
        """Changes when the file changes: size and time, or size and checksum; empty if there is no such file."""
        if name not in self:
            return ""
        if self.zipped:
            return f"{self._entries[name].file_size} {self._entries[name].CRC:08x}"
        status = (self.path / name).stat()
        return f"{status.st_size} {status.st_mtime_ns}"

    def read(self, name: str) -> bytes:
        """A file's contents.

        Raises:
            InputError: it is not there, cannot be read, is damaged, or is larger unpacked than 512 MB.
        """
        where = self.location(name)
        if name not in self:
            raise InputError(f"There is no file '{where}'.")
        try:
            if not self.zipped:
                return where.read_bytes()
            with self._lock, self._open().open(self._entries[name]) as file:
                content = file.read(LARGEST_FILE + 1)
        except OSError as error:
            raise InputError(f"'{where}' cannot be read ({error.strerror or error}). Check its permissions.") from error
        except _ZIP_ERRORS as error:
            raise InputError(f"'{where}' cannot be read from its archive ({error}). Make the archive anew.") from error
        if len(content) > LARGEST_FILE:
            raise InputError(f"'{where}' is larger than {LARGEST_FILE >> 20} MB unpacked; no photo is. Take it out.")
        return content

    def _open(self) -> zipfile.ZipFile:
        """The archive, opened by this very process: file positions must not be shared."""
        if self._archive is None or self._archive[0] != os.getpid():
            try:
                archive = zipfile.ZipFile(self.path)
            except (OSError, ValueError, *_ZIP_ERRORS) as error:
                raise InputError(f"'{self.path}' is no zip archive that can be read ({error}).") from error
            if len(archive.infolist()) > MOST_FILES:
                raise InputError(f"'{self.path}' lists {len(archive.infolist())} files; at most {MOST_FILES} are read.")
            self._archive = (os.getpid(), archive)
        return self._archive[1]

    def _walk(self) -> Any:
        left_out = None if self.leave_out is None else self.leave_out.resolve()
        for folder, inner, files in os.walk(self.path):
            inner[:] = [f for f in inner if not f.startswith(".") and (Path(folder) / f).resolve() != left_out]
            for file in files:
                if (Path(folder) / file).is_file():
                    yield (Path(folder) / file).relative_to(self.path).as_posix()


@lru_cache(maxsize=4)
def _opened(path: Path, leave_out: Path | None, state: tuple[int, int]) -> FileStore:
    """The same store for all that is sent to a process: a large archive's list of files is read once."""
    return FileStore(path, leave_out)
