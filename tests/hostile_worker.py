"""Reads weights files in a process of its own with little memory; prints what became of each as a line of JSON.

`python -m tests.hostile_worker`, with a JSON list of paths as its input; the tests' import hooks are not active here.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.peak_memory import peak_bytes

if TYPE_CHECKING:
    from threedpsp.eg3d.generator import Generator

SECONDS = 5
MEMORY = 1 << 30


def outcome(path: str, generator: Generator) -> dict[str, object]:
    """Of each way to read it the typed error's text, or what else happened; the slowest one's seconds; peak memory."""
    from threedpsp.errors import ThreeDPSPError
    from threedpsp.weights.convert import convert
    from threedpsp.weights.load import load_arcface, load_confnet, load_deep3d, load_encoder, load_generator
    from threedpsp.weights.recognise import recognise
    from threedpsp.weights.systems import load_system

    readers: tuple[Callable[[], object], ...] = (
        lambda: recognise(path).check(),
        lambda: load_generator(path, "cpu"),
        lambda: load_encoder(path, generator),
        lambda: load_system(generator, "tiny", encoder=path),
        lambda: load_arcface(path),
        lambda: load_confnet(path),
        lambda: load_deep3d(path),
        lambda: convert(path, Path(path).with_name("converted.safetensors")),
    )
    errors, seconds = [], 0.0
    for read in readers:
        started = time.process_time()  # not of the clock: tests share the machine with others
        signal.alarm(4 * SECONDS)  # a hang ends the process, and the test
        try:
            errors.append(f"no error: {str(read())[:200]}")
        except ThreeDPSPError as error:
            errors.append(str(error))
        except BaseException as error:  # noqa: B902 - SystemExit from a file's code too is a failure of the test
            errors.append(f"untyped {type(error).__name__}: {error}")
        signal.alarm(0)
        seconds = max(seconds, time.process_time() - started)
    peak = peak_bytes()
    return {"path": path, "errors": errors, "seconds": seconds, "peak": peak}


def main() -> None:
    import torch

    import threedpsp.weights.convert
    import threedpsp.weights.systems  # noqa: F401 - before the limit is set: what a program has loaded is not counted
    from threedpsp.weights.load import load_generator

    torch.set_num_threads(1)
    generator = load_generator("tiny", "cpu")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for path in json.load(sys.stdin):
        print(json.dumps(outcome(path, generator)), flush=True)


if __name__ == "__main__":
    main()
