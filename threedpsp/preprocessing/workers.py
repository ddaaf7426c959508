"""Many photos at once: jobs done by processes, results in the order of the jobs."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

import torch

from ..errors import ThreeDPSPError
from .photo_jobs import CropSettings, Job, PhotoReport

AHEAD = 4  # jobs given out per worker


@dataclass(frozen=True)
class _Work:
    settings: CropSettings
    output: Path


_work: list[_Work] = []  # of this worker process


def do_jobs(jobs: Sequence[Job], settings: CropSettings, output: Path, workers: int) -> Iterator[PhotoReport]:
    """Do the jobs; yields their reports in order.

    Each worker is a process of its own with its own face detector, and computes with one thread, so that results do not
    depend on how many there are. With one worker, it is this process.

    Raises:
        ThreeDPSPError: what a job raises that is not the photo's fault; a worker that was killed.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            with _one_thread():
                report = job.do(settings, output)
            yield report
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(settings, output))
    waiting = iter(jobs)
    running: deque[Future[PhotoReport]] = deque()
    try:
        for job in waiting:
            running.append(pool.submit(_do, job))
            if len(running) >= workers * AHEAD:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    except BrokenProcessPool as error:
        raise ThreeDPSPError(
            "A worker process was ended from outside, perhaps because memory ran out. Run the command again, perhaps "
            "with fewer workers: it goes on where it was."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _start_worker(settings: CropSettings, output: Path) -> None:
    torch.set_num_threads(1)
    _work[:] = [_Work(settings, output)]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _do(job: Job) -> PhotoReport:
    return job.do(_work[0].settings, _work[0].output)
