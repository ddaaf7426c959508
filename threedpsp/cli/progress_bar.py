"""Progress of many equal things: a bar with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from .command import LINE_EVERY, PlainCommand
from .status_line import STATUS

WIDTH = 24
LIVE_EVERY = 0.1  # seconds


class ProgressBar:
    """Call it with how many are done and how many there are.

    Args:
        command: whose progress it is; nothing is shown if that is quiet.
        what: a word before the figures.
    """

    def __init__(self, command: PlainCommand, what: str) -> None:
        self._command, self._what = command, what
        self._live = command.live
        self._started = self._shown = time.perf_counter()

    def __call__(self, done: int, total: int) -> None:
        """Shows it, if it is time."""
        now = time.perf_counter()
        if done < total and now - self._shown < (LIVE_EVERY if self._live else LINE_EVERY):
            return
        self._shown = now
        text = self.text(done, total, now - self._started)
        filled = WIDTH * done // max(total, 1)
        bar = f"[{'#' * filled}{'.' * (WIDTH - filled)}] {text}"
        if not self._live:
            self._command.say(text)
        elif done < total:
            STATUS.show(bar)
        else:
            self._command.say(bar)

    def text(self, done: int, total: int, seconds: float) -> str:
        """The figures: "prepare 120/759  14.9/s  0:43 left"."""
        rate = done / seconds if seconds > 0 else 0.0
        left = round((total - done) / rate) if rate > 0 else 0
        minutes, second = divmod(left, 60)
        hours, minute = divmod(minutes, 60)
        clock = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
        return f"{self._what} {done}/{total}  {rate:.1f}/s" + (f"  {clock} left" if done < total else "")
