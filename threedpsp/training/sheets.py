"""Contact sheets during training: what the held-out (or, early, the trained) portraits look like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..encoder.inversion import N_ITERS, invert_steps
from ..metrics.pixel import psnr
from ..types import Render

if TYPE_CHECKING:
    from .trainer import JointTrainer

ROWS = 12


def depth_picture(render: Render) -> Tensor:
    """[N,3,R,R] in [-1,1]; near is bright, nothing is black."""
    near = ((3.05 - render.image_depth) / 0.7).clamp(0, 1) * render.opacity
    return F.interpolate(near, size=render.image.shape[-1]).expand(-1, 3, -1, -1) * 2 - 1


@torch.no_grad()
def save_training_sheet(trainer: JointTrainer, path: Path) -> str:
    """Photo, reconstruction, depth, and views at -30 and 30 degrees to the side and 15 up.

    Returns the measures of pixels, looks and identity as text.
    """
    generator = trainer.generator_ema
    figures: list[Tensor] = []
    rows: list[Tensor] = []
    encoded = trainer.encoder_share > 0
    batches = trainer.dev if encoded else trainer.batches
    count = len(batches.set) if encoded else ROWS
    for start in range(0, count, 4):
        batch = batches.make(torch.arange(start, min(start + 4, count)))
        if encoded:
            *_, last = invert_steps(trainer.encoder_ema, generator, batch.image, batch.camera, N_ITERS)
            ws = last.ws
        else:
            ws = trainer.latents[batch.index][:, None].expand(-1, generator.config.num_ws, -1)
        planes = generator.planes(ws)
        own = generator.render(planes, ws, batch.camera)
        image = own.image.clamp(-1, 1)
        figures.append(
            torch.stack(
                [
                    psnr(image, batch.image),
                    trainer.perceptual(image, batch.image),
                    trainer.identity.distance(image, batch.image, batch.landmarks),
                ]
            )
        )
        if start < ROWS:
            views = [
                generator.render(planes, ws, generator.config.camera_sphere.at(yaw, pitch).expand(len(ws))).image
                for yaw, pitch in ((-30.0, 0.0), (30.0, 0.0), (0.0, 15.0))
            ]
            rows.append(torch.cat([batch.image, image, depth_picture(own), *views], 3))
    sheet = torch.cat(rows).clamp(-1, 1).add(1).mul(127.5).byte().permute(0, 2, 3, 1).numpy()
    half = len(sheet) // 2
    columns = [np.concatenate(list(part)) for part in (sheet[:half], sheet[half : 2 * half])]
    Image.fromarray(np.concatenate(columns, 1)).save(path)
    values = torch.cat(figures, 1).mean(1).tolist()
    return f"PSNR {values[0]:.2f}  ST-LPIPS(alex) {values[1]:.4f}  identity {values[2]:.3f}"
