"""A smaller file for the same encoder: narrower heads that learn to make the wider ones' steps.

python -m threedpsp.training.encoders.slim ENCODER --photos DIR --output slim.safetensors

Trunk and feature pyramid stay as they are. Each head keeps the channels with the largest weights, and then learns on
the features of every ReStyle step of every photo (and its mirror image) what the wide head answered there. The
generator renders in between, but nothing is differentiated through it, so this takes minutes.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from jaxtyping import Float
from torch import Tensor, nn

from ...eg3d.generator import Generator
from ...encoder.encoder import Encoder, build_encoder
from ...encoder.inversion import invert_steps
from ...encoder.map2style import Map2Style
from ...errors import InputError
from ...preprocessing.dataset import FaceDataset, Mirrored
from ...weights.load import load_inverter
from ...weights.systems import load_generator
from .checkpoints import publish
from .networks import TINY_HEAD_WIDTH
from .photos import CheckedPhotos, Fault

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SlimJob:
    """What becomes slim, and how."""

    encoder: Annotated[str, tyro.conf.Positional]
    """The encoder: a file, or a name that 'threedpsp weights list' shows."""
    photos: Path
    """Folder or zip that 'threedpsp prepare' made."""
    generator: str = "tiny"
    """The generator that it belongs to."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("slim.safetensors")
    """The file."""
    mirrored: Mirrored = "added"
    """Mirrored copies of the photos: those that the folder has; one of each, made on the fly; none."""
    width: int = TINY_HEAD_WIDTH
    """Channels inside the new heads."""
    n_iters: int = 5
    """ReStyle steps whose features are learned from."""
    steps: int = 3_000
    """Optimizer steps."""
    batch: int = 32
    """Features in a step."""
    learning_rate: float = 2e-3
    """Of AdamW; falls to 0 by a cosine."""
    seed: int = 0
    """Order of the features."""


@dataclass(frozen=True)
class Answers:
    """Features of the trunk and what the wide heads answered: maps, [N,C,s,s] each; label [N,25]; step [N,L,w_dim]."""

    maps: tuple[Tensor, ...]
    label: Tensor
    step: Tensor

    def __len__(self) -> int:
        return len(self.step)

    def pick(self, rows: Tensor) -> Answers:
        """Some of them, in float32."""
        return Answers(tuple(m[rows].float() for m in self.maps), self.label[rows], self.step[rows])


def narrow(encoder: Encoder, width: int) -> Encoder:
    """The same encoder with heads of fewer channels: those with the largest weights.

    Raises:
        InputError: its heads are not wider than that, or not of plain strided convolutions.
    """
    config = encoder.config
    if config.head_pointwise:
        raise InputError("Heads with pointwise convolutions (the published ones) cannot be made narrower here.")
    if not 0 < width < config.head_width:
        raise InputError(f"Heads of {config.head_width} channels cannot become {width} wide: choose fewer.")
    slim = build_encoder(dataclasses.replace(config, head_width=width))
    kept = {n: t for n, t in encoder.state_dict().items() if not n.startswith("styles.")}
    slim.load_state_dict({**slim.state_dict(), **kept})
    slim.latent_avg.copy_(encoder.latent_avg)
    slim.generator_fingerprint = encoder.generator_fingerprint
    for wide, small in zip(encoder.styles, slim.styles, strict=True):
        assert isinstance(wide, Map2Style) and isinstance(small, Map2Style)
        _narrow_head(wide, small, width)
    return slim


@torch.no_grad()
def _narrow_head(wide: Map2Style, small: Map2Style, width: int) -> None:
    if wide.linear_camera is not None and small.linear_camera is not None:
        small.linear_camera.load_state_dict(wide.linear_camera.state_dict())
    sources, targets = ([m for m in head.convs if isinstance(m, nn.Conv2d)] for head in (wide, small))
    readers = [*(m.weight.flatten(2).square().sum((0, 2)) for m in sources[1:]), wide.linear.weight.square().sum(0)]
    channels = torch.arange(sources[0].in_channels)
    for source, target, reader in zip(sources, targets, readers, strict=True):
        weight = source.weight[:, channels]
        chosen = (weight.flatten(1).square().sum(1) * reader).topk(width).indices.sort().values
        target.weight.copy_(weight[chosen])
        if source.bias is not None and target.bias is not None:
            target.bias.copy_(source.bias[chosen])
        channels = chosen
    # a linear layer divides by the root of its inputs; the kept ones must weigh what they did
    small.linear.weight.copy_(wide.linear.weight[:, channels] * math.sqrt(width / wide.linear.weight.shape[1]))
    small.linear.bias.copy_(wide.linear.bias)


def gather(encoder: Encoder, generator: Generator, photos: CheckedPhotos, n_iters: int) -> Answers:
    """Features and answers at every ReStyle step of every photo."""
    parts = list(_gather(encoder, generator, photos, n_iters))
    maps = tuple(torch.cat(level) for level in zip(*(p.maps for p in parts), strict=True))
    return Answers(maps, torch.cat([p.label for p in parts]), torch.cat([p.step for p in parts]))


@torch.no_grad()
def _gather(encoder: Encoder, generator: Generator, photos: CheckedPhotos, n_iters: int) -> Iterator[Answers]:
    seen: list[tuple[Tensor, ...]] = []
    hooks = [
        head.register_forward_hook(lambda _, inputs, output: seen.append((*inputs, output))) for head in encoder.styles
    ]
    try:
        for number in range(len(photos)):
            photo = photos[number]
            if isinstance(photo, Fault):
                raise InputError(photo.message)
            for _ in invert_steps(encoder, generator, photo.image, photo.camera, n_iters):
                yield Answers(tuple(s[0].half() for s in seen), photo.camera.label, torch.cat([s[-1] for s in seen], 1))
                seen.clear()
            if number % 100 == 99:
                LOG.info("%d of %d photos", number + 1, len(photos))
    finally:
        for hook in hooks:
            hook.remove()


def answer(encoder: Encoder, given: Answers) -> Float[Tensor, "n l w"]:
    """What an encoder's heads make of features."""
    return torch.cat([head(m, given.label) for head, m in zip(encoder.styles, given.maps, strict=True)], 1)


def learn(encoder: Encoder, answers: Answers, job: SlimJob) -> float:
    """Train the heads; returns the mean square of what is still wrong, as a share of the answers' mean square."""
    random = torch.Generator().manual_seed(job.seed)
    optimizer = torch.optim.AdamW(encoder.styles.parameters(), job.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, job.steps)
    scale = answers.step.pow(2).mean()
    wrong = math.nan
    for step in range(1, job.steps + 1):
        given = answers.pick(torch.randint(len(answers), (job.batch,), generator=random))
        loss = (answer(encoder, given) - given.step).pow(2).mean() / scale
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        wrong = loss.item() if math.isnan(wrong) else 0.98 * wrong + 0.02 * loss.item()
        if step % 100 == 0 or step == 1:
            LOG.info("step %d/%d  share of the answer that is wrong %.4f", step, job.steps, wrong)
    return wrong


def main(job: SlimJob) -> None:
    """Make the slim encoder and write it whole or not at all."""
    torch.manual_seed(job.seed)
    generator = load_generator(job.generator, device="cpu", precision="float32")
    wide = load_inverter(job.encoder, generator)
    if not isinstance(wide, Encoder):
        raise InputError(f"{job.encoder} is no encoder but {wide.method}.")
    slim = narrow(wide, job.width)
    side = wide.config.input_resolution
    photos = CheckedPhotos(FaceDataset(job.photos, resolution=side, mirrored=job.mirrored), side, needs_sigma=False)
    wrong = learn(slim, gather(wide, generator, photos, job.n_iters), job)
    publish(slim, job.output, slimmed_from=job.encoder, share_wrong=round(wrong, 4))
    LOG.info("slim encoder: %s", job.output)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(tyro.cli(SlimJob, description=__doc__))
