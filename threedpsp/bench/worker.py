"""Runs one side of a job, or a profile, in this process and prints its figures as JSON.

Its only argument is JSON: threads, repeats and the fields of a `Task`; or "profile": true, the job's name and the
fields of `ProfileOptions`.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time

import torch

from ..allocator import keep_freed_memory
from ..process_memory import resident_bytes
from .jobs import Task
from .profile import profile

WITHOUT_WARM_UP = ("training", "demo")
"""The first warms up by itself; the second is what a user meets."""


def measure(task: Task, repeats: int) -> dict[str, float]:
    """The median of the repeats in seconds, and the process's peak memory in MB (0 where the system does not tell)."""
    with torch.no_grad():
        step = task.step()
        if task.job not in WITHOUT_WARM_UP:
            step()
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            own = step()
            seconds.append(own if isinstance(own, float) else time.perf_counter() - started)
    return {"seconds": statistics.median(seconds), "peak_mb": (resident_bytes("peak") or 0) / 1e6}


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    keep_freed_memory()
    torch.set_num_threads(settings.pop("threads"))
    with contextlib.redirect_stdout(sys.stderr):  # what a job says is not a figure
        if settings.pop("profile", False):
            figures = profile(settings.pop("job"), **settings).to_dict()
        else:
            repeats = settings.pop("repeats")
            figures = measure(Task(**settings), repeats)
    sys.stdout.write(json.dumps(figures) + "\n")
