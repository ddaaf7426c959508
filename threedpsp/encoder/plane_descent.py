"""Learned descent on the planes: the photo's residual, put onto the planes by one backward pass, becomes a step.

The error of a render has a gradient in every cell of the planes that a ray has seen. A small U-Net reads it beside the
planes and answers with what to add to them; a few such steps give the likeness that takes plain descent dozens. It
learns the steps (`threedpsp.training.descent`), so no learning rate is left to choose.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..camera import Camera
from ..eg3d.generator import Generator
from ..errors import InputError, WeightsError
from ..types import Render, TriPlanes

KIND = "plane-descent"
L1_WEIGHT, L2_WEIGHT = 1.0, 10.0
"""Of the error whose gradient is read, images in [-1,1]."""


@dataclass(frozen=True)
class DescentConfig:
    """Sizes of the network."""

    plane_channels: int = 16
    widths: tuple[int, ...] = (32, 48, 64, 96)
    """Channels at each side, the planes' own first; each next side is half as large."""
    steps: int = 3
    """How often it is asked."""

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or self.steps < 1:
            raise InputError(f"A descent needs two widths and one step at least; got {self.widths} and {self.steps}.")


class _Halve(nn.Sequential):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(
            nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(n_out, n_out, 3, padding=1), nn.LeakyReLU(0.2),
        )  # fmt: skip


class PlaneDescent(nn.Module):
    """Planes, gradient, offset -> what to add to the offset. The three planes share the network and meet at its depth.

    generator_fingerprint: the generator it was trained for; empty = unknown.
    """

    def __init__(self, config: DescentConfig) -> None:
        super().__init__()
        self.config = config
        self.generator_fingerprint = ""
        channels, widths = config.plane_channels, config.widths
        pairs = list(zip(widths, widths[1:], strict=False))
        self.plane_bias = nn.Parameter(torch.zeros(3, widths[0]))
        self.first = nn.Conv2d(3 * channels + 3, widths[0], 3, padding=1)
        self.down = nn.ModuleList(_Halve(near, far) for near, far in pairs)
        deep = 3 * widths[-1]
        self.meet = nn.Sequential(nn.Conv2d(deep, deep, 1), nn.LeakyReLU(0.2), nn.Conv2d(deep, deep, 1))
        self.up = nn.ModuleList(nn.Conv2d(far + near, near, 3, padding=1) for near, far in reversed(pairs))
        self.last = nn.Conv2d(widths[0], 2 * channels, 3, padding=1)
        self.gain = nn.Parameter(torch.full((1, 3, 1, 1, channels), -2.8))  # e to it: of the plain step
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        planes: Float[Tensor, "n 3 h w c"],
        gradient: Float[Tensor, "n 3 h w c"],
        offset: Float[Tensor, "n 3 h w c"],
        spread: Float[Tensor, "n 1 1 1 1"],
        done: int,
    ) -> Float[Tensor, "n 3 h w c"]:
        """The next step: bounded, so that no photo can lead it astray.

        Args:
            planes: as they are, offset included.
            gradient: of the error, in the planes.
            offset: what earlier steps added.
            spread: standard deviation of the planes at first; steps are measured in it.
            done: steps before this one.
        """
        n, _, height, width, channels = planes.shape
        size = gradient.square().mean((1, 2, 3, 4), keepdim=True).sqrt() + 1e-12
        unit = gradient / size
        plain = unit.sign() * unit.abs().log1p()
        seen = (10 * unit.abs().mean(-1, keepdim=True)).log1p()
        facts = [0.1 * (size + 1e-8).log().expand_as(seen), torch.full_like(seen, float(done))]
        x = torch.cat([planes / spread, plain, offset / spread, seen, *facts], -1)
        x = x.permute(0, 1, 4, 2, 3).reshape(3 * n, -1, height, width).contiguous(memory_format=torch.channels_last)
        x = F.leaky_relu(self.first(x) + self.plane_bias.repeat(n, 1)[:, :, None, None], 0.2)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        together = x.reshape(n, -1, *x.shape[2:])
        x = (together + self.meet(together)).reshape(x.shape)
        for up in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = F.leaky_relu(up(torch.cat([x, skips.pop()], 1)), 0.2)
        added, gate = self.last(x).reshape(n, 3, 2, channels, height, width).permute(2, 0, 1, 4, 5, 3)
        return spread * (added.tanh() - (self.gain + 2 * gate.tanh()).exp() * plain)

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Everything that makes it, for a safetensors file: tensors, and metadata of plain text."""
        metadata = {
            "kind": KIND,
            "config": json.dumps(dataclasses.asdict(self.config)),
            "generator": self.generator_fingerprint,
        }
        return {name: tensor.contiguous() for name, tensor in self.state_dict().items()}, metadata


def descent_from_checkpoint(tensors: dict[str, Tensor], metadata: dict[str, str]) -> PlaneDescent:
    """The network that `PlaneDescent.checkpoint()` described, in float32, frozen.

    Raises:
        WeightsError: another kind of file, or tensors that do not fit.
    """
    if metadata.get("kind") != KIND or "config" not in metadata:
        raise WeightsError("This file does not describe a descent on planes (no kind and config in its metadata).")
    values: dict[str, Any] = json.loads(metadata["config"])
    values["widths"] = tuple(values["widths"])
    network = PlaneDescent(DescentConfig(**values))
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise WeightsError(f"These weights do not fit the descent on planes ({str(error)[:300]}).") from error
    network.generator_fingerprint = metadata.get("generator", "")
    return network.requires_grad_(False).train(False)


@dataclass(frozen=True)
class DescentStep:
    """Where the descent stands: what is added to the planes [N,3,H,W,C], and the render of planes with it."""

    offset: Tensor
    render: Render


def error_of(image: Tensor, photo: Tensor) -> Tensor:
    """[N]: the error whose gradient is read; both at the generator's side."""
    difference = image - photo
    return (L1_WEIGHT * difference.abs() + L2_WEIGHT * difference.square()).mean((1, 2, 3))


def spread_of(planes: TriPlanes) -> Tensor:
    """[N,1,1,1,1]: the standard deviation of each head's planes."""
    return planes.features.detach().std((1, 2, 3, 4), keepdim=True).clamp_min(1e-3)


def descend(
    network: PlaneDescent, generator: Generator, planes: TriPlanes, ws: Tensor, camera: Camera, photo: Tensor
) -> Iterator[DescentStep]:
    """The planes as they are, then after each step.

    Args:
        network: trained for the generator.
        generator: frozen.
        planes: of ws.
        ws: [N,L,w_dim].
        camera: N cameras.
        photo: [N,3,R,R] at the generator's side.
    """
    spread, offset = spread_of(planes), torch.zeros_like(planes.features)
    for done in range(network.config.steps + 1):
        last = done == network.config.steps
        with torch.enable_grad():
            features = (planes.features + offset).detach().requires_grad_(not last)
            render = generator.render(dataclasses.replace(planes, features=features), ws, camera)
            gradient = None if last else torch.autograd.grad(error_of(render.image, photo).sum(), features)[0]
        yield DescentStep(offset, Render(*(t.detach() for t in vars(render).values())))
        if gradient is not None:
            with torch.no_grad():
                offset = offset + network(features, gradient, offset, spread, done)
