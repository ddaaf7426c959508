"""Writing results: whole or not at all, with errors that say what to do."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError

_CAUSES = {
    errno.ENOSPC: "the disk is full; free some space or choose a folder on another disk",
    errno.EDQUOT: "your disk quota is used up; free some space or choose a folder on another disk",
    errno.EFBIG: "the system's limit on file size was reached (ulimit -f); raise it or choose a smaller output",
    errno.EACCES: "this user may not write there; choose a folder that you may write to",
    errno.EPERM: "this user may not write there; choose a folder that you may write to",
    errno.EROFS: "that disk is read-only; choose another folder",
    errno.ENOTDIR: "part of this path is a file, not a folder; choose another folder",
    errno.EISDIR: "a folder of this name is in the way; remove it or choose another name",
    errno.EEXIST: "a file of this name is in the way; remove it or choose another name",
    errno.ENOENT: "its folder does not exist",
    errno.ENAMETOOLONG: "the name is too long",
}


def output_error(path: str | Path, error: OSError) -> OutputError:
    """An `OutputError` that says why `path` could not be written."""
    cause = _CAUSES.get(error.errno or 0) or error.strerror or str(error)
    return OutputError(f"Could not write {path}: {cause}.")


@contextmanager
def atomic_write(path: str | Path, durable: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside `path`; it takes the name `path` only when the block ends without an error.

    durable: False saves the wait until it is on the disk, so that a power cut, though no kill, may leave it cut off.

    Raises:
        OutputError: any OSError in the block or in the renaming. Nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem[:80]}.{secrets.token_hex(4)}{path.suffix}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        if durable:
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        _remove(temporary)


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Keeps a second run that asks for the same out of a folder; a kill frees it. Windows cannot lock folders.

    Raises:
        OutputError: another run is writing there.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"Another run is writing into {folder}. Wait for its end, or choose another output."
            ) from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(opened)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; its files appear in `path` only when the block ends without an error.

    Files of the same names that are in `path` already are replaced; others stay.

    Raises:
        OutputError: any OSError in the block or in the moving. The temporary folder is always removed.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir()
        yield temporary
        if path.is_dir():
            for file in sorted(temporary.iterdir()):
                os.replace(file, path / file.name)
        else:
            os.rename(temporary, path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def output_dir(path: str | Path) -> Iterator[Path]:
    """Makes a folder for results and tries writing there, before any long work; leaves no empty new folder behind.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    path = Path(path)
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
            probe = path / f".{secrets.token_hex(4)}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise output_error(path, error) from error
        yield path
    finally:
        for folder in missing:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _remove(path: Path) -> None:
    """Deletes a temporary file if it is still there; a failure here must not hide the first error."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
