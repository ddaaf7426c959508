"""`threedpsp train`: encoders for a generator of one's own choice."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ..training.encoders.config import TrainConfig
from .command import PlainCommand
from .option_types import MaybePath, MaybeText, OutputPath


@dataclass(frozen=True)
class TrainOptions(TrainConfig):
    """The same settings with the forms that their flags have; what they mean stands there."""

    output: OutputPath = TrainConfig.output
    photos: Annotated[Path | None, tyro.conf.arg(metavar="PATH", aliases=["--data"], help_behavior_hint="")] = None
    validation: MaybePath = None
    generator: Annotated[str, tyro.conf.arg(metavar="NAME", aliases=["--model"])] = TrainConfig.generator
    weights_dir: MaybePath = None
    init: MaybeText = None
    irse50: MaybeText = None
    trunk: MaybeText = None


@dataclass(frozen=True)
class TrainPreset(PlainCommand):
    """Train an encoder.

    Every setting can be changed, and the same command resumes a stopped run. Without --photos it learns from faces that
    the generator renders itself, whose cameras are known exactly. Several GPUs or machines: accelerate launch -m
    threedpsp train ... (see docs/training.md).
    """

    examples = (
        "threedpsp train tiny_cpu --photos prepared/ -o runs/mine",
        "threedpsp train tiny_cpu --steps 100 --max-seconds 600 -o runs/short",
        "threedpsp train a100_ffhq512 --photos photos/ --validation others/ -o runs/full",
    )

    config: Annotated[TrainOptions, tyro.conf.arg(name="")] = TrainOptions()

    def run(self) -> int:
        """Trains; prints where the best encoder is."""
        from ..training.encoders.run import train

        result = train(self.config, self.say)
        if os.environ.get("RANK", "0") == "0":  # of several processes, one speaks
            best = "" if result.best is None else f", validation loss {result.best:.4f} at step {result.best_step}"
            text = f"stopped at step {result.step}: {result.reason}{best}\nencoder: {result.encoder}"
            self.result(text, asdict(result))
        return 0
