"""The choices of the tiny model's training, with the preset that made the embedded weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class JointConfig:
    """Generator and encoder trained together on portraits.

    Three stages by optimizer steps: `coarse` (a latent of its own for each portrait, 32-pixel rays, geometry first),
    `handover` (from those latents to the encoder's), then the encoder alone until `steps`.
    """

    portraits: Path
    """What `python -m threedpsp.training.portraits` wrote."""
    output: Path
    """Folder for checkpoints, contact sheets and the log; training resumes from it."""
    steps: int = 8700
    """Optimizer steps in all."""
    coarse_steps: int = 500
    """Steps at 32 pixels."""
    encoder_start: int = 1000
    """The encoder starts to learn the portraits' own latents."""
    handover_start: int = 1900
    handover_end: int = 2700
    """Between these steps the share of latents that come from the encoder grows from 0 to 1."""
    samples: int = 14
    """Coarse samples a ray, and as many fine ones; jittered, so fewer than at inference will do."""
    loop_share: float = 0.55
    """Chance that a batch goes through one more step of the ReStyle loop (at most 5)."""
    batch: int = 2
    """Portraits a step and worker."""
    generator_lr: float = 5e-3
    encoder_lr: float = 7e-4
    latent_lr: float = 4e-2
    decoder_lr_factor: float = 4.0
    """The decoder learns faster, because densities must grow to hundreds."""
    decay_share: float = 0.28
    """Learning rates fall to zero over this last share of the steps."""
    held_out: int = 60
    """Portraits kept for development, spread over the set."""
    perceptual_weight: float = 1.5
    eyes_weight: float = 1.0
    """The perceptual term for the eyes, enlarged four times."""
    identity_weight: float = 0.4
    mirror_weight: float = 0.3
    novel_weight: float = 0.1
    """Identity from a camera up to 30 degrees away."""
    save_every: int = 250
    sheet_every: int = 750
    seed: int = 0
    restart_optimizers: bool = False
    """Take weights and step of the checkpoint, but start the optimizers anew."""
