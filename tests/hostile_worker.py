"""Reads weights files in a process of its own with little memory; prints what became of each as a line of JSON.

`python -m tests.hostile_worker PATH...`; the tests' import hooks are not active here.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
from pathlib import Path

from tests.peak_memory import peak_bytes

SECONDS = 5
MEMORY = 1 << 30


def outcome(path: str) -> dict[str, object]:
    """The typed error's text, or what else happened; seconds; resident memory in bytes that it added at most."""
    from threedpsp.errors import ThreeDPSPError
    from threedpsp.weights.convert import convert
    from threedpsp.weights.load import load_generator
    from threedpsp.weights.recognise import recognise

    errors = []
    started = time.perf_counter()
    signal.alarm(4 * SECONDS)  # a hang ends the process, and the test
    for read in (lambda: recognise(path).check(), lambda: load_generator(path, "cpu"), lambda: convert(path)):
        try:
            errors.append(f"no error: {str(read())[:200]}")
        except ThreeDPSPError as error:
            errors.append(str(error))
        except BaseException as error:  # noqa: B902 - SystemExit from a file's code too is a failure of the test
            errors.append(f"untyped {type(error).__name__}: {error}")
    seconds = (time.perf_counter() - started) / 3
    signal.alarm(0)
    peak = peak_bytes()
    return {"path": path, "errors": errors, "seconds": seconds, "peak": peak}


def main() -> None:
    import torch

    import threedpsp.weights.convert  # noqa: F401 - before the limit is set: what a program has loaded is not counted

    torch.set_num_threads(1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for path in sys.argv[1:]:
        print(json.dumps(outcome(path)), flush=True)


if __name__ == "__main__":
    main()
