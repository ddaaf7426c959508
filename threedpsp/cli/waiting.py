"""A sign of life during work that cannot say how far it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .status_line import STATUS

PATIENCE = 2.0  # seconds that need no sign
LIVE_EVERY, LINE_EVERY = 0.5, 30.0  # seconds


@contextmanager
def waiting(what: str, say: Callable[[str], None], live: bool) -> Iterator[None]:
    """Shows what is being done and for how long, once the block takes more than `PATIENCE`.

    Args:
        what: what is being done, "load the model".
        say: writes a line.
        live: write over one line of a terminal; else a line now and then.
    """
    done = threading.Event()
    thread = threading.Thread(target=_tick, args=(what, say, live, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if live:
            STATUS.clear()


def _tick(what: str, say: Callable[[str], None], live: bool, done: threading.Event) -> None:
    started = time.perf_counter()
    pause, first = PATIENCE, True
    while not done.wait(pause):
        seconds = time.perf_counter() - started
        if live:
            STATUS.show(f"{what} ... {seconds:.0f} s")
        else:
            say(f"{what} ..." if first else f"{what} ... {seconds:.0f} s so far")
        pause, first = LIVE_EVERY if live else LINE_EVERY, False
