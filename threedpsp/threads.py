"""As many threads as pay.

Threads that wait for each other at every step stand still while other programs hold one of their processors: beside
two busy programs, two threads do a tenth of the work of one. Linux tells how long this process's threads have waited
for a processor; while they wait much, fewer are used. There are never more than processors for them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from .device import available_threads

MUCH, LITTLE = 0.15, 0.05
"""Shares of the time in which threads could have run but had to wait: above the first fewer are used; only below the
second are more tried again."""
INTERVAL = 0.2  # seconds between two looks
PATIENCE, LONGEST_PATIENCE = 4.0, 60.0  # seconds until more are tried; twice as long after each time in vain
_TASKS = Path("/proc/self/task")


def thread_times() -> tuple[float, float]:
    """Seconds that the threads of this process have run and have waited for a processor; 0 where no system tells."""
    ran = waited = 0
    for task in _TASKS.iterdir() if _TASKS.is_dir() else ():
        try:
            numbers = (task / "schedstat").read_text(encoding="ascii").split()
        except OSError:  # the thread has ended meanwhile, or this kernel does not count
            continue
        ran, waited = ran + int(numbers[0]), waited + int(numbers[1])
    return ran * 1e-9, waited * 1e-9


class ThreadCount:
    """How many threads pay, learned from how long they waited; at first from how the process has fared so far."""

    def __init__(
        self,
        times: Callable[[], tuple[float, float]] = thread_times,
        clock: Callable[[], float] = time.monotonic,
        available: Callable[[], int] = available_threads,
    ) -> None:
        self.limit = 0  # 0: none
        self._times, self._clock, self._available = times, clock, available
        self._seen, self._ran, self._waited = -math.inf, 0.0, 0.0  # when was looked last, and what was there
        self._room = 0  # processors at that time
        self._patience, self._lowered = PATIENCE, -math.inf
        self._outer = 0  # threads of torch around the outermost piece of work

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, torch uses at most so many threads; what threads waited is learned from. May be nested."""
        before, outer = torch.get_num_threads(), self._outer
        wanted = self._outer = outer or before
        if self._seen == -math.inf:
            self._learn(wanted)
        used = self._count(wanted)
        if used != before:
            torch.set_num_threads(used)
        try:
            yield
        finally:
            self._outer = outer
            if used != before:
                torch.set_num_threads(before)
            self._learn(wanted)

    def _count(self, wanted: int) -> int:
        return min(wanted, self.limit or wanted, self._room or wanted)

    def _learn(self, wanted: int) -> None:
        now = self._clock()
        if wanted == 1 or now - self._seen < INTERVAL:
            return
        used, most = self._count(wanted), min(wanted, self._room or wanted)
        self._room = self._available()
        times = self._times()
        ran, waited = times[0] - self._ran, times[1] - self._waited
        self._seen, self._ran, self._waited = now, *times
        if ran <= 0 or waited < 0:  # no system tells, or a thread has ended and its times with it
            return
        share = waited / (ran + waited)
        if share > MUCH and used > 1:
            in_vain = used == most and now - self._lowered < 2 * LONGEST_PATIENCE
            self._patience = min(2 * self._patience, LONGEST_PATIENCE) if in_vain else PATIENCE
            self.limit, self._lowered = max(1, int(used * (1 - share))), now
        elif share < LITTLE and used < most and now - self._lowered > self._patience:
            self.limit = 0


_shared = ThreadCount()


@contextmanager
def as_many_threads_as_pay() -> Iterator[None]:
    """Around a second or so of work on the processor, or all of a function that has such pieces; also a decorator.

    What is learned holds for all of them. It costs some microseconds, and five times a second what a look costs
    (`python -m threedpsp.bench.thread_count`).
    """
    with _shared.applied():
        yield
