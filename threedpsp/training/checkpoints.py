"""A joint training's state on disk, one file for each worker."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..weights.torch_file import read_torch

if TYPE_CHECKING:
    from .trainer import JointTrainer


def checkpoint_path(trainer: JointTrainer) -> Path:
    """The worker's checkpoint (the networks are the same in all, the latents are each worker's own)."""
    return trainer.config.output / f"checkpoint_{trainer.rank}_of_{trainer.workers}.pt"


def _networks(trainer: JointTrainer) -> dict[str, torch.nn.Module]:
    """By their names in the checkpoint."""
    return {
        "generator": trainer.generator,
        "encoder": trainer.encoder,
        "generator_ema": trainer.generator_ema,
        "encoder_ema": trainer.encoder_ema,
    }


def save(trainer: JointTrainer) -> None:
    """All that resuming needs, replaced in one move; what goes on and what resumes do the same from here."""
    trainer.carried = None
    state = {
        "step": trainer.step,
        **{name: network.state_dict() for name, network in _networks(trainer).items()},
        "latent_avg": trainer.encoder.latent_avg,
        "latents": trainer.latents.detach(),
        "first_estimate": trainer.first_estimate,
        "optimizer": trainer.optimizer.state_dict(),
        "latent_optimizer": trainer.latent_optimizer.state_dict(),
        "random": trainer.random.get_state(),
        "batches": trainer.batches.state(),
    }
    path = checkpoint_path(trainer)
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def resume(trainer: JointTrainer) -> bool:
    """Go on from the checkpoint; False if there is none."""
    path = checkpoint_path(trainer)
    if not path.is_file():
        return False
    state = read_torch(path)
    trainer.step = state["step"]
    for name, network in _networks(trainer).items():
        network.load_state_dict(state[name])
    for encoder in (trainer.encoder, trainer.encoder_ema):
        encoder.latent_avg.copy_(state["latent_avg"])
    trainer.latents.data.copy_(state["latents"])
    trainer.first_estimate = state.get("first_estimate")
    if trainer.config.restart_optimizers:
        trainer.warm_from = trainer.step
    else:
        rates = [group["base"] for group in trainer.optimizer.param_groups]
        trainer.optimizer.load_state_dict(state["optimizer"])
        for group, rate in zip(trainer.optimizer.param_groups, rates, strict=True):
            group["base"] = rate
        trainer.latent_optimizer.load_state_dict(state["latent_optimizer"])
        trainer.random.set_state(state["random"])
        trainer.batches.restore(state["batches"])
    return True
