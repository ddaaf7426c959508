"""The memory that stays in the process when models come and go, and the processor time of the pictures."""

from __future__ import annotations

import sys
import threading
import time

import torch

from ..process_memory import resident_bytes
from ..weights.systems import load_generator
from .jobs import Step, Task

RENDERS = 20
PIECES = 500  # of another model's weights


def told(what: str, seconds: float = 0.0) -> None:
    """A line with the memory now."""
    pace = f", {seconds:.2f} s of processor time each" if seconds else ""
    sys.stdout.write(f"{what}: {(resident_bytes('now') or 0) / 1e6:.0f} MB{pace}\n")


def repeated(step: Step) -> float:
    """Processor seconds of one of many."""
    step()
    before = time.process_time()
    for _ in range(RENDERS):
        step()
    return (time.process_time() - before) / RENDERS


@torch.no_grad()
def session() -> None:
    """Prints a line after each part."""
    generator = load_generator("tiny", device="cpu")
    ws = generator.mapping(torch.zeros(1, generator.config.z_dim), generator.frontal_camera)
    told(f"{RENDERS} pictures of tiny", repeated(lambda: generator.synthesis(ws, generator.frontal_camera)))
    large = Task("synthesis", published=False).step()
    told(f"{RENDERS} pictures of 512 pixels", repeated(large))
    del large
    told("that model gone")
    other = [torch.ones(1 << 20) for _ in range(PIECES)]
    told(f"{PIECES} pieces of another model, 4 MB each")
    del other
    told("these gone")


if __name__ == "__main__":  # THREEDPSP_ALLOCATOR=default: as glibc has it; thread: as ComfyUI runs nodes
    if sys.argv[1:] == ["thread"]:
        worker = threading.Thread(target=session)
        worker.start()
        worker.join()
    else:
        session()
