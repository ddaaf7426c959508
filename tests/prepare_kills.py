"""Prepares a folder of photos, kills (-9) other runs of it at random moments, resumes them, and compares all files.

python -m tests.prepare_kills FOLDER_OF_PHOTOS --times 3
"""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tyro

log = logging.getLogger(__name__)


def main(photos: tyro.conf.Positional[Path], times: int = 3, seed: int = 0) -> None:
    """Prints images per second of the undisturbed run; fails if a resumed one has other files, or other bytes."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder, "whole"), Path(folder, "killed")
        started = time.monotonic()
        code = _prepare(photos, whole).wait()
        seconds = time.monotonic() - started
        expected = _files(whole)
        crops = sum(name.endswith(".png") for name in expected)
        log.info(
            "exit code %d, %d crops in %.1f s, the start included: %.1f a second", code, crops, seconds, crops / seconds
        )
        for number in range(times):
            run = _prepare(photos, killed)
            time.sleep(draw.uniform(0.2, 0.8) * seconds / times)
            run.kill()
            run.wait()
            log.info("kill %d: %d crops are there", number + 1, len(list(killed.glob("*.png"))))
        _prepare(photos, killed).wait()
        if _files(killed) != expected:
            raise SystemExit("the resumed run has other files than the undisturbed one")
        log.info("%d files, all with the same bytes", len(expected))


def _prepare(photos: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "threedpsp", "prepare", str(photos), "-o", str(output), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tyro.cli(main)
