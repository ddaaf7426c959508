"""A joint training's state on disk: one file, whatever the number of workers, and a small one beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..errors import WeightsError
from ..weights.recognise import START, read_safetensors
from ..weights.write import write_safetensors
from .encoders.state import from_text, pack_module, pack_optimizer, to_text, unpack_module, unpack_optimizer

if TYPE_CHECKING:
    from .trainer import JointTrainer

CHECKPOINT, RESUME_POINT = "checkpoint.safetensors", "resume_point.safetensors"
KIND, SMALL_KIND = "joint training", "joint training, small"


def networks(trainer: JointTrainer) -> dict[str, nn.Module]:
    """By their names in the checkpoint."""
    return {
        "generator": trainer.generator,
        "encoder": trainer.encoder,
        "generator_ema": trainer.generator_ema,
        "encoder_ema": trainer.encoder_ema,
    }


def save(trainer: JointTrainer) -> None:
    """All that resuming needs, and the averaged networks alone in fp16; each replaced in one move."""
    optimizers = {"optimizer": trainer.optimizer, "latent_optimizer": trainer.latent_optimizer}
    numbers: dict[str, object] = {
        "step": trainer.step,
        "warm_from": trainer.warm_from,
        "seconds": trainer.seconds,
        "reported": trainer.reported,
    }
    tensors: dict[str, Tensor] = {"latents": trainer.latents.detach(), "latent_avg": trainer.encoder.latent_avg}
    for name, network in networks(trainer).items():
        tensors |= pack_module(name, network)
    for name, optimizer in optimizers.items():
        packed, numbers[name] = pack_optimizer(name, optimizer)
        tensors |= packed
    output = trainer.config.output
    write_safetensors(output / CHECKPOINT, tensors, {"kind": KIND, "numbers": to_text(numbers)})
    small = {"latent_avg": trainer.encoder.latent_avg}
    for name, network in (("generator", trainer.generator_ema), ("encoder", trainer.encoder_ema)):
        small |= pack_module(name, network)
    halved = {name: t.half() if t.is_floating_point() else t for name, t in small.items()}
    facts = {"step": trainer.step, "encoder": trainer.encoder.config.to_dict()}
    write_safetensors(output / RESUME_POINT, halved, {"kind": SMALL_KIND, "numbers": to_text(facts)})


def resume(trainer: JointTrainer) -> bool:
    """Go on from the checkpoint, or from the small one (optimizers, averages and own latents begin anew then)."""
    output = trainer.config.output
    if (output / CHECKPOINT).is_file():
        _resume_whole(trainer, output / CHECKPOINT)
    elif (output / RESUME_POINT).is_file():
        _resume_small(trainer, output / RESUME_POINT)
    else:
        return False
    return True


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file.

    Raises:
        WeightsError: damaged.
    """
    with open(path, "rb") as file:
        start = file.read(START)
    return read_safetensors(path, start)


def read(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Tensors and numbers of a file.

    Raises:
        WeightsError: damaged, or of another kind.
    """
    tensors, metadata = read_weights(path)
    if metadata.get("kind") != kind:
        raise WeightsError(f"{path} is no checkpoint of a {kind}.")
    return tensors, from_text(metadata["numbers"])


@torch.no_grad()
def _resume_whole(trainer: JointTrainer, path: Path) -> None:
    tensors, numbers = read(path, KIND)
    trainer.step, trainer.warm_from = int(numbers["step"]), int(numbers["warm_from"])  # type: ignore[call-overload]
    trainer.seconds, trainer.reported = float(numbers["seconds"]), int(numbers["reported"])  # type: ignore
    for name, network in networks(trainer).items():
        unpack_module(name, network, tensors)
    _fill_latents(trainer, tensors["latent_avg"], tensors["latents"], path)
    bases = [group["base"] for group in trainer.optimizer.param_groups]
    for name, optimizer in (("optimizer", trainer.optimizer), ("latent_optimizer", trainer.latent_optimizer)):
        unpack_optimizer(name, optimizer, tensors, numbers[name])  # type: ignore[arg-type]
    for group, base in zip(trainer.optimizer.param_groups, bases, strict=True):
        group["base"] = base  # the configuration's, which may have changed


@torch.no_grad()
def _resume_small(trainer: JointTrainer, path: Path) -> None:
    tensors, numbers = read(path, SMALL_KIND)
    trainer.step = trainer.warm_from = int(numbers["step"])  # type: ignore[call-overload]
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    for name, network in networks(trainer).items():
        unpack_module(name.removesuffix("_ema"), network, tensors)
    _fill_latents(trainer, tensors["latent_avg"], trainer.latents, path)
    trainer.latents.copy_(trainer.encoded_people())


def _fill_latents(trainer: JointTrainer, latent_avg: Tensor, latents: Tensor, path: Path) -> None:
    if latents.shape != trainer.latents.shape:
        raise WeightsError(
            f"{path} has latents {list(latents.shape)}, but the people of this training need "
            f"{list(trainer.latents.shape)}. Give the bundle that it was trained with, or another --output."
        )
    trainer.latents.data.copy_(latents)
    for encoder in (trainer.encoder, trainer.encoder_ema):
        encoder.latent_avg.copy_(latent_avg)
