"""Kills a small training (-9) at random steps, resumes it, and compares it with one that nobody disturbed.

python -m tests.kill_and_resume --times 10
"""

from __future__ import annotations

import logging
import random
import tempfile
from pathlib import Path

import tyro

from tests.core.training_runs import KILLED, difference, kill_at, losses, one_thread, small_config
from threedpsp.training.encoders.checkpoints import checkpoints, read_state
from threedpsp.training.encoders.run import train

log = logging.getLogger(__name__)


def main(times: int = 10, steps: int = 60, seed: int = 0) -> None:
    """Prints the largest relative difference after each kill; fails above 1e-6."""
    draw = random.Random(seed)
    settings = {**KILLED, "steps": steps}
    with tempfile.TemporaryDirectory() as folder, one_thread():
        base = Path(folder)
        whole = small_config(base, **settings)
        train(whole, lambda _: None)
        for number in range(times):
            killed = small_config(base, output=base / f"killed {number}", **settings)
            kill_at(killed, draw.randint(1, steps - 5))
            at = max(losses(killed), default=0)
            readable = [read_state(path) for path in checkpoints(killed.output)]
            train(killed, lambda _: None)
            worst = difference(whole, killed)
            log.info("killed at step %d of %d, %d readable checkpoints: worst %.1e", at, steps, len(readable), worst)
            if worst > 1e-6:
                raise SystemExit("the resumed training differs")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tyro.cli(main)
