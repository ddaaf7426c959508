"""`threedpsp train-tiny`: the training that made the embedded model."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from .command import Command
from .option_types import Count, InputPath, OutputPath


@dataclass(frozen=True)
class TrainTiny(Command):
    """Train the embedded tiny generator and its encoder anew.

    It learns from portraits, on the CPU; the same command resumes a stopped run. The portraits come from
    python -m threedpsp.training.portraits (its --help says how).
    """

    examples = ("threedpsp train-tiny portraits.safetensors -o runs/tiny --workers 2",)

    portraits: InputPath = None
    """The file of prepared portraits."""
    output: OutputPath = Path("runs/tiny")
    """Folder for checkpoints, contact sheets and, at the end, weights/."""
    workers: Count = 0
    """Processes that share the work, one thread each; 0: one for each processor core."""
    steps: Count = 0
    """Optimizer steps; 0: the preset's."""

    def run(self) -> int:
        """Trains, then writes output/weights."""
        if self.portraits is None:
            raise InputError("No portraits given. Example: threedpsp train-tiny portraits.safetensors -o runs/tiny")
        from ..device import available_threads
        from ..training.config import JointConfig
        from ..training.finish import main as finish

        config = JointConfig(self.portraits, self.output, seed=self.seed)
        if self.steps:
            config = dataclasses.replace(config, steps=self.steps)
        _launch(config, self.workers or available_threads(), logging.WARNING if self.quiet else logging.INFO)
        with self.waiting("write the weights"):
            finish(self.portraits, self.output, self.output / "weights")
        self.result(f"weights: {self.output / 'weights'}", {"weights": self.output / "weights"})
        return 0


def _launch(config: Any, workers: int, log_level: int) -> None:
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    launch = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=workers, rdzv_backend="c10d", rdzv_endpoint="localhost:0"
    )
    elastic_launch(launch, _work)(config, log_level)


def _work(config: Any, log_level: int) -> None:
    from ..training.joint import main

    logging.basicConfig(level=log_level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    main(config)
