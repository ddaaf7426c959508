"""The one line of a terminal that is written over again; other lines go above it."""

from __future__ import annotations

import os
import shutil
import sys
import threading


class StatusLine:
    """What is going on now, on stderr. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._shown = ""

    def show(self, text: str) -> None:
        """Writes `text` over what is there, cut to the terminal's width."""
        with self._lock:
            text = text[: max(shutil.get_terminal_size().columns - 1, 1)]
            print(f"\r{text.ljust(len(self._shown))}", end="", file=sys.stderr, flush=True)
            self._shown = text

    def clear(self) -> None:
        """Leaves the line empty, if something is there."""
        with self._lock:
            if self._shown:
                print(f"\r{' ' * len(self._shown)}\r", end="", file=sys.stderr, flush=True)
                self._shown = ""

    def line(self, text: str) -> None:
        """A line that stays."""
        with self._lock:
            self.clear()
            print(text, file=sys.stderr, flush=True)


STATUS = StatusLine()
"""A process has one terminal, and so one such line."""


def on_terminal() -> bool:
    """Whether somebody looks at stderr on a terminal whose line can be written over."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
