"""How close a joint training's averaged networks come to people that it does not learn from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..encoder.inversion import N_ITERS, invert_steps, resize_photo
from ..errors import MissingDependencyError
from ..metrics.perceptual import STLPIPS
from ..metrics.pixel import psnr
from .batches import IMAGE_SIDE, PortraitBatches
from .portraits import PortraitSet

if TYPE_CHECKING:
    from .trainer import JointTrainer

FIGURES_FILE = "validation.jsonl"
BATCH = 4


@torch.no_grad()
def measure(trainer: JointTrainer) -> dict[str, dict[str, float]]:
    """Means by kind of people (the first part of their names), also written as a line of a file.

    Whole crops at 128 pixels after five steps of the encoder: PSNR, ST-LPIPS (AlexNet and, where it is installed,
    VGG16) and identity.
    """
    config = trainer.config
    assert config.validation is not None
    people = PortraitSet.load(config.validation)
    batches = PortraitBatches(people, people.mirror_points, config.seed)
    rows: dict[str, list[Tensor]] = {}
    for start in range(0, len(people), BATCH):
        batch = batches.make(torch.arange(start, min(start + BATCH, len(people)))).to(trainer.device)
        *_, last = invert_steps(trainer.encoder_ema, trainer.generator_ema, batch.image, batch.camera, N_ITERS)
        image = resize_photo(last.render.image.clamp(-1, 1), IMAGE_SIDE)
        figures = [
            psnr(image, batch.image),
            trainer.perceptual(image, batch.image),
            trainer.identity.distance(image, batch.image, batch.landmarks),
        ]
        if (vgg := _vgg_judge(str(trainer.device))) is not None:
            figures.append(vgg(image, batch.image))
        for index, row in zip(batch.index.tolist(), torch.stack(figures, 1).cpu(), strict=True):
            rows.setdefault(people.names[index].partition("/")[0], []).append(row)
    names = ("psnr", "st_lpips_alex", "identity", "st_lpips_vgg")
    means = {
        kind: dict(zip(names, torch.stack(values).mean(0).tolist(), strict=False))
        for kind, values in sorted(rows.items())
    }
    line = {"step": trainer.step, "seconds": round(trainer.seconds), **means}
    with open(config.output / FIGURES_FILE, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return means


def validation_line(means: Mapping[str, Mapping[str, float]]) -> str:
    """The figures for the log."""
    return "   ".join(
        f"{kind}: " + "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
        for kind, figures in means.items()
    )


@lru_cache(maxsize=1)
def _vgg_judge(device: str) -> STLPIPS | None:
    """The perceptual distance that no loss uses."""
    try:
        return STLPIPS("vgg").to(device)
    except MissingDependencyError:
        return None
