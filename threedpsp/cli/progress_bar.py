"""Progress of many equal things: a bar with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time

from .command import PlainCommand

WIDTH = 24
LIVE_EVERY, LINE_EVERY = 0.1, 10.0  # seconds


class ProgressBar:
    """Call it with how many are done and how many there are.

    Args:
        command: whose progress it is; nothing is shown if that is quiet.
        what: a word before the figures.
    """

    def __init__(self, command: PlainCommand, what: str) -> None:
        self._command, self._what = command, what
        self._live = sys.stderr.isatty() and not command.quiet
        self._started = self._shown = time.perf_counter()
        self._open = False

    def __call__(self, done: int, total: int) -> None:
        """Shows it, if it is time."""
        now = time.perf_counter()
        if done < total and now - self._shown < (LIVE_EVERY if self._live else LINE_EVERY):
            return
        self._shown = now
        text = self.text(done, total, now - self._started)
        if not self._live:
            self._command.say(text)
            return
        filled = WIDTH * done // max(total, 1)
        print(f"\r[{'#' * filled}{'.' * (WIDTH - filled)}] {text}   ", end="", file=sys.stderr, flush=True)
        self._open = True
        if done >= total:
            self._end_line()

    def text(self, done: int, total: int, seconds: float) -> str:
        """The figures: "prepare 120/759  14.9/s  0:43 left"."""
        rate = done / seconds if seconds > 0 else 0.0
        left = round((total - done) / rate) if rate > 0 else 0
        minutes, second = divmod(left, 60)
        hours, minute = divmod(minutes, 60)
        clock = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
        return f"{self._what} {done}/{total}  {rate:.1f}/s" + (f"  {clock} left" if done < total else "")

    def interrupt(self, line: str) -> None:
        """A line that must be seen, above the bar."""
        self._end_line()
        self._command.say(line, always=True)

    def _end_line(self) -> None:
        if self._open:
            print(file=sys.stderr, flush=True)
            self._open = False


def cpu_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
