"""Something that is built and loaded at its first use, once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from .errors import KernelUnavailableError

Loaded = TypeVar("Loaded")


class LoadOnce(Generic[Loaded]):
    """Calls `load` when first called itself; remembers the result, or that it failed and why."""

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._load = load
        self._found: Loaded | KernelUnavailableError | None = None
        self.forget_lock()

    def forget_lock(self) -> None:
        """In a forked process: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def __call__(self) -> Loaded:
        """What was loaded.

        Raises:
            KernelUnavailableError: it cannot be.
        """
        with self._lock:
            if self._found is None:
                try:
                    self._found = self._load()
                except KernelUnavailableError as error:
                    self._found = error
        if isinstance(self._found, KernelUnavailableError):
            raise KernelUnavailableError(str(self._found))
        return self._found
