"""What a quiet machine pays for `as_many_threads_as_pay`.

python -m threedpsp.bench.thread_count
"""

from __future__ import annotations

import sys
import time
from itertools import count
from threading import Event, Thread

import torch

from ..threads import INTERVAL, ThreadCount

USES = 2000


def seconds_a_use(counted: ThreadCount) -> float:
    """Of a piece of work that does nothing."""
    started = time.perf_counter()
    for _ in range(USES):
        with counted.applied():
            pass
    return (time.perf_counter() - started) / USES


def main() -> None:
    """Prints what a use costs, and a look at how long threads waited, in a process of few threads and of many."""
    torch.set_num_threads(2)  # one thread asks nothing
    plain, looks = seconds_a_use(ThreadCount()), count()
    sys.stdout.write(f"a use: {1e6 * plain:.1f} us\n")
    end = Event()
    for others in (0, 100):
        for _ in range(others):
            Thread(target=end.wait).start()
        look = seconds_a_use(ThreadCount(clock=lambda: INTERVAL * next(looks))) - plain
        share = f"every {INTERVAL:g} s at most: {look / INTERVAL:.2%} of the time"
        sys.stdout.write(f"a look, beside {others} threads that sleep: {1e6 * look:.0f} us; {share}\n")
    end.set()


if __name__ == "__main__":
    main()
