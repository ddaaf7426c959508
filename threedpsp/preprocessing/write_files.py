"""Files that are either there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ..errors import OutputError


def make_folder(folder: Path) -> None:
    """Create a folder and its parents.

    Raises:
        OutputError: it cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder '{folder}' cannot be created ({error.strerror}). Choose another, or change its permissions."
        ) from error


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """`write` fills a file beside `path`, which then takes its name; a failure leaves nothing behind.

    Raises:
        OutputError: permissions, full disk, size limit.
    """
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            write(file)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise OutputError(
            f"'{path}' cannot be written ({error.strerror or error}). Check the folder's permissions and free space."
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
