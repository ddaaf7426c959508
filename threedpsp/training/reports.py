"""What joint training says about its course."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from torch import Tensor

from .config import JointConfig


class LossMeans:
    """The losses of the steps since they were last asked for."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = defaultdict(list)

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """One step's."""
        for name, value in losses.items():
            self.values[name].append(value.item())

    def take(self) -> dict[str, float]:
        """The mean of each, over the steps that had it; then it begins anew."""
        means = {name: sum(v) / len(v) for name, v in self.values.items()}
        self.values.clear()
        return means


def progress_line(config: JointConfig, step: int, seconds_a_step: float, means: Mapping[str, float]) -> str:
    """Where the training is, how fast, how long it will take, and its losses."""
    images = (config.own_batch + config.encoder_batch) / seconds_a_step
    minutes = (config.steps - step) * seconds_a_step / 60
    losses = "  ".join(f"{name} {mean:.4f}" for name, mean in means.items())
    return f"step {step}  {images:.2f} images/s  {minutes:.0f} min left  {losses}"
