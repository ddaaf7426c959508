"""`threedpsp train-tiny`: the training that made the embedded model."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..training.encoders.config import TrainingPrecision
from .command import Command
from .option_types import Count, InputPath, MaybePath, OutputPath


@dataclass(frozen=True)
class TrainTiny(Command):
    """Train the embedded tiny generator and its networks anew.

    It learns from a bundle of people (python -m threedpsp.training.portraits --help says how to make one); the same
    command resumes a stopped run, also with another number of workers or on another device.
    """

    examples = (
        "threedpsp train-tiny people.safetensors -o runs/tiny",
        "threedpsp train-tiny people.safetensors --init tiny --made-up made_up.safetensors --workers 2 -o runs/tiny",
    )

    people: InputPath = None
    """The bundle of people to learn from."""
    output: OutputPath = Path("runs/tiny")
    """Folder for checkpoints, contact sheets and, at the end, weights/."""
    made_up: MaybePath = None
    """A second bundle, of made-up people (python -m threedpsp.training.augment.make)."""
    validation: MaybePath = None
    """A third one, of other people, on which figures are measured now and then."""
    loss_networks: MaybePath = None
    """A file with the networks of the losses (python -m threedpsp.training.loss_networks), for machines without their
    packages."""
    precision: TrainingPrecision = "float32"
    """The type that networks compute with; auto: what is fast on the device.
    The weights, their updates and the sums of losses stay in float32."""
    init: str = ""
    """Weights to start from: tiny, or a folder with a generator and an encoder; by default it begins at nothing."""
    workers: Count = 0
    """Processes that share the work, one thread each; 0: one for each processor core (one in all on a GPU)."""
    batch: Count = 0
    """Portraits of a step over all workers, half by their own latents and half by the encoder; 0: the preset's."""
    steps: Count = 0
    """Optimizer steps of generator and encoder; 0: the preset's."""
    descent_steps: Count = 0
    """Optimizer steps of the descent on planes, after that; 0: the preset's."""

    def run(self) -> int:
        """Trains, then writes output/weights."""
        if self.people is None:
            raise InputError("No people given. Example: threedpsp train-tiny people.safetensors -o runs/tiny")
        from ..device import available_threads, resolve_device
        from ..training.config import JointConfig
        from ..training.finish import main as finish

        device = resolve_device(self.device)
        config = JointConfig(
            self.people,
            self.output,
            made_up=self.made_up,
            validation=self.validation,
            loss_networks=self.loss_networks,
            init=self.init,
            device=str(device),
            precision=self.precision,
            seed=self.seed,
        )
        if self.steps:
            config = dataclasses.replace(config, steps=self.steps)
        if self.descent_steps:
            config = dataclasses.replace(config, descent=dataclasses.replace(config.descent, steps=self.descent_steps))
        if self.batch:
            config = dataclasses.replace(config, own_batch=self.batch // 2, encoder_batch=self.batch - self.batch // 2)
        workers = self.workers or (available_threads() if device.type == "cpu" else 1)
        _launch(config, workers, logging.WARNING if self.quiet else logging.INFO)
        with self.waiting("write the weights"):
            finish(self.people, self.output, self.output / "weights")
        self.result(f"weights: {self.output / 'weights'}", {"weights": self.output / "weights"})
        return 0


def _launch(config: Any, workers: int, log_level: int) -> None:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    launch = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=workers, rdzv_backend="c10d", rdzv_endpoint="localhost:0"
    )
    try:
        elastic_launch(launch, _work)(config, log_level)
    except SignalException as stopped:
        raise KeyboardInterrupt from stopped


def _work(config: Any, log_level: int) -> None:
    from ..training.joint import main

    logging.basicConfig(level=log_level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    main(config)
