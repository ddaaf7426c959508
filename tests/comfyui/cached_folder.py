"""A folder in the cache that is made once, by one process, and is either complete or made anew."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "threedpsp-ci"


def key_of(parts: Iterable[str]) -> str:
    """Sixteen hexadecimal digits that differ where any part does."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def cached_folder(name: str, make: Callable[[Path], None], cache: Path = CACHE) -> Path:
    """The folder `cache/name`, made by `make` where it is missing or was left half made.

    The file `complete` is written last, so a process that was killed leaves nothing that another would trust; a second
    process that wants the same folder waits for the first.
    """
    folder = cache / name
    complete = folder / "complete"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go by the system when the process ends, however it ends
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            complete.touch()
    return folder
