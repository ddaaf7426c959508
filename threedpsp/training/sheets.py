"""Contact sheets during training: what validation people (or, early, those trained on) look like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..encoder.inversion import N_ITERS, invert_steps
from ..types import Render
from .batches import PortraitBatches
from .portraits import PortraitSet

if TYPE_CHECKING:
    from .trainer import JointTrainer

ROWS = 12
VIEWS = ((-30.0, 0.0), (30.0, 0.0), (0.0, 15.0))  # yaw and pitch, degrees


def depth_picture(render: Render) -> Tensor:
    """[N,3,R,R] in [-1,1]; near is bright, nothing is black."""
    near = ((3.05 - render.image_depth) / 0.7).clamp(0, 1) * render.opacity
    return F.interpolate(near, size=render.image.shape[-1]).expand(-1, 3, -1, -1) * 2 - 1


@torch.no_grad()
def save_training_sheet(trainer: JointTrainer, path: Path) -> None:
    """Two columns of rows: photo, reconstruction, depth, and views at -30 and 30 degrees to the side and 15 up.

    The left half shows people trained on, by their own latents; the right half validation people by the encoder (or,
    where there are none, people trained on).
    """
    generator = trainer.generator_ema
    people = trainer.batches
    if trainer.config.validation is not None:
        held_out = PortraitSet.load(trainer.config.validation)
        people = PortraitBatches(held_out, held_out.mirror_points, trainer.config.seed)
    columns = []
    for batches, encoded in ((trainer.batches, False), (people, True)):
        rows = []
        for index in spread(len(batches.set), ROWS // 2).split(1):
            batch = batches.make(index).to(trainer.device)
            ws = trainer.latents[batch.index]
            if encoded:
                *_, last = invert_steps(trainer.encoder_ema, generator, batch.image, batch.camera, N_ITERS)
                ws = last.ws
            planes = generator.planes(ws)
            own = generator.render(planes, ws, batch.camera)
            views = [
                generator.render(planes, ws, generator.config.camera_sphere.at(yaw, pitch)).image
                for yaw, pitch in VIEWS
            ]
            rows.append(torch.cat([batch.large_image, own.image, depth_picture(own), *views], 3))
        columns.append(torch.cat(rows, 2))
    sheet = torch.cat(columns, 3)[0].clamp(-1, 1).add(1).mul(127.5).byte().permute(1, 2, 0).cpu().numpy()
    Image.fromarray(np.ascontiguousarray(sheet)).save(path)


def spread(n: int, count: int) -> Tensor:
    """Up to `count` indices spread over n."""
    return torch.linspace(0, n - 1, min(n, count)).long()
