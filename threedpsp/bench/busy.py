"""The default demo by itself, then beside other programs that keep the processors busy.

python -m threedpsp.bench.busy
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, Popen, run

import tyro

from ..errors import ThreeDPSPError
from ..evaluation.report import table_lines


@dataclass(frozen=True)
class Options:
    """What keeps the processors busy."""

    neighbours: int = 2
    """Programs that multiply matrices all the time."""
    threads: int = 2
    """Threads of each."""


def demo() -> list[str]:
    """Seconds of the whole command, updates made and their seconds, PSNR and identity of its head."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __package__.partition(".")[0], "demo", "--quiet", "-o", folder]
        started = time.perf_counter()
        done = run(command, stdout=DEVNULL, check=False)
        seconds = time.perf_counter() - started
        if done.returncode:
            raise ThreeDPSPError(f"The demo ended with exit code {done.returncode}.")
        report = json.loads((Path(folder) / "astronaut" / "report.json").read_text(encoding="utf-8"))
    refined, quality = report["info"]["refine"], report["quality"]["result"]
    figures = [f"{seconds:.0f}", str(refined["steps"]), f"{refined['seconds']:.0f}"]
    return [*figures, f"{quality['psnr']:.1f}", f"{quality['identity_distance']:.2f}"]


def main(options: Options) -> int:
    """Prints a table of both."""
    rows = [["demo", "seconds", "updates", "their seconds", "PSNR", "identity"], ["by itself", *demo()]]
    command = [sys.executable, "-m", f"{__package__}.neighbour", str(options.threads)]
    with ExitStack() as running:
        for _ in range(options.neighbours):
            neighbour = running.enter_context(Popen(command))
            running.callback(neighbour.kill)
        rows.append([f"beside {options.neighbours} programs of {options.threads} threads", *demo()])
    sys.stdout.write("\n".join(table_lines(rows)) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Options, description=__doc__)))
    except ThreeDPSPError as error:
        sys.exit(f"error: {error}")
