"""What a quiet machine pays for `as_many_threads_as_pay`.

python -m threedpsp.bench.thread_count
"""

from __future__ import annotations

import sys
import threading
import time
from itertools import count

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
    """Prints what a use costs, with and without a look at how long threads waited, and what looks come to."""
    torch.set_num_threads(2)  # one thread asks nothing
    quiet = ThreadCount()
    plain = seconds_a_use(quiet)
    looks = count()
    look = seconds_a_use(ThreadCount(clock=lambda: INTERVAL * next(looks))) - plain
    words = f"a use: {1e6 * plain:.1f} us; a look: {1e6 * look:.0f} us with {threading.active_count()} threads of Python"
    sys.stdout.write(f"{words}, at most every {INTERVAL:g} s: {look / INTERVAL:.2%} of the time\n")


if __name__ == "__main__":
    main()
