"""TriPlaneNet: a pSp encoder finds ws, then a second network changes the planes so that the render meets the photo.

v1's branch reads the render and its error; it may be asked again with the new render (the published second pass, which
replaces the first pass's change). v2's also reads the mirrored view's error and the planes.
Source: the published networks, checked against their recorded values.
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

from ..camera import Camera
from ..eg3d.generator import Generator
from ..errors import InputError, WeightsError
from ..types import Render, TriPlanes
from .checks import check_steps
from .config import EncoderConfig
from .encoder import Encoder
from .inversion import InversionStep, resize_photo
from .triplane_branch import BranchConfig, TriplaneBranch, Upsampler

KIND = "triplanenet"


@dataclass(frozen=True)
class TriPlaneNetConfig:
    """The two networks: the encoder for ws and the branch for the planes."""

    encoder: EncoderConfig = dataclasses.field(default_factory=EncoderConfig.psp)
    """Reads the photo alone."""
    branch: BranchConfig = dataclasses.field(default_factory=BranchConfig.v1)
    """What it reads decides whether this is v1 or v2."""

    def __post_init__(self) -> None:
        if self.encoder.input_channels != 3:
            raise InputError("TriPlaneNet's encoder reads the photo alone: input_channels must be 3.")
        if self.branch.input_channels != (9 if self.branch.sees_planes else 6):
            raise InputError(
                "TriPlaneNet's branch reads 6 channels (v1), or 9 and the planes (v2); "
                f"got {self.branch.input_channels} {'with' if self.branch.sees_planes else 'without'} the planes."
            )

    @property
    def is_v2(self) -> bool:
        """Whether the branch sees the mirrored view and the planes."""
        return self.branch.sees_planes

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON-able values."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> TriPlaneNetConfig:
        """From `to_dict()` after JSON.

        Raises:
            InputError: an unknown name, or values that do not fit together.
        """
        if unknown := sorted(set(values) - {"encoder", "branch"}):
            raise InputError(f"Unknown TriPlaneNet setting(s): {', '.join(unknown)}.")
        parts = TriPlaneNetConfig()
        return TriPlaneNetConfig(
            EncoderConfig.from_dict({**parts.encoder.to_dict(), **values.get("encoder", {})}),
            BranchConfig.from_dict(values.get("branch", {})),
        )

    @staticmethod
    def v1() -> TriPlaneNetConfig:
        """The published TriPlaneNet v1."""
        return TriPlaneNetConfig()

    @staticmethod
    def v2(upsampler: Upsampler = "pixelshuffle") -> TriPlaneNetConfig:
        """The published TriPlaneNet v2 with one of its two ways of growing."""
        return TriPlaneNetConfig(branch=BranchConfig.v2(upsampler))

    @staticmethod
    def of_state(state: dict[str, Tensor]) -> TriPlaneNetConfig:
        """Which published TriPlaneNet a state_dict is of, by its shapes.

        Raises:
            WeightsError: none of them.
        """
        try:
            channels = state["triplanenet_encoder.input_layer.0.weight"].shape[1]
            grown = state["triplanenet_encoder.up2.conv.double_conv.1.weight"].shape[0]
        except KeyError as error:
            raise WeightsError(f"These are not the weights of a TriPlaneNet ({error} is missing).") from error
        known = {(6, 384): TriPlaneNetConfig.v1(), (9, 384): TriPlaneNetConfig.v2()}
        known[9, 256] = TriPlaneNetConfig.v2("upsample")
        if (channels, grown) not in known:
            raise WeightsError(f"No known TriPlaneNet reads {channels} channels and grows by {grown}.")
        return known[channels, grown]


class TriPlaneNet(nn.Module):
    """Photo and camera -> ws and an offset of the planes. `state_dict()` has the published names.

    `latent_avg` and `generator_fingerprint` are the encoder's (see `Encoder`).
    """

    def __init__(self, config: TriPlaneNetConfig) -> None:
        super().__init__()
        self.config = config
        self.psp_encoder = Encoder(config.encoder)
        self.triplanenet_encoder = TriplaneBranch(config.branch)

    @property
    def method(self) -> str:
        """The name of the system."""
        return "triplanenet-v2" if self.config.is_v2 else "triplanenet-v1"

    @property
    def num_ws(self) -> int:
        """Rows of the ws it makes."""
        return self.config.encoder.num_ws

    @property
    def w_dim(self) -> int:
        """Numbers in a row."""
        return self.config.encoder.w_dim

    @property
    def latent_avg(self) -> Tensor:
        """[1,num_ws,w_dim]: what the encoder's residual is added to."""
        return self.psp_encoder.latent_avg

    @property
    def generator_fingerprint(self) -> str:
        """The generator it was trained for; empty = unknown."""
        return self.psp_encoder.generator_fingerprint

    @generator_fingerprint.setter
    def generator_fingerprint(self, value: str) -> None:
        self.psp_encoder.generator_fingerprint = value

    def step_count(self, n_iters: int | None) -> int:
        """Steps it makes: 1 = ws alone, 2 = the planes too (default), 3 = v1's second pass.

        Raises:
            InputError: more or fewer than it can.
        """
        most = 2 if self.config.is_v2 else 3
        meaning = "1: ws, 2: the planes too" + ("" if most == 2 else ", 3: a second pass")
        return check_steps(self.method, 2 if n_iters is None else n_iters, most, meaning)

    def steps(
        self,
        generator: Generator,
        image: Float[Tensor, "n 3 r r"],
        camera: Camera,
        n_iters: int | None = None,
        *,
        differentiable: bool = False,
    ) -> Iterator[InversionStep]:
        """ws with its render, then the same ws with changed planes; see `inversion.invert_steps`.

        Raises:
            WeightsError: the branch changes planes of another size than the generator's.
        """
        count = self.step_count(n_iters)
        check_planes(self.config.branch, generator)
        n, side = len(image), self.config.branch.resolution
        camera = camera.expand(n).to(image.device)
        photo = resize_photo(image, side)
        with torch.set_grad_enabled(differentiable):
            reading = resize_photo(image, self.config.encoder.input_resolution)
            ws = self.psp_encoder(reading) + self.latent_avg
            planes = generator.planes(ws)
            render = generator.render(planes, ws, camera)
        estimate = resize_photo(render.image, side)
        yield InversionStep(ws, render, estimate)
        ws, planes = ws.detach(), dataclasses.replace(planes, features=planes.features.detach())
        for _ in range(count - 1):
            with torch.set_grad_enabled(differentiable):
                offset = self.offset(generator, photo, estimate.detach(), planes, ws, camera)
                changed = dataclasses.replace(planes, features=planes.features + offset)
                render = generator.render(changed, ws, camera)
                estimate = resize_photo(render.image, side)
            yield InversionStep(ws, render, estimate, offset)

    def offset(
        self, generator: Generator, photo: Tensor, estimate: Tensor, planes: TriPlanes, ws: Tensor, camera: Camera
    ) -> Tensor:
        """What the branch adds to the planes, [N,3,H,W,C].

        Args:
            generator: renders the mirrored view (v2).
            photo: [N,3,r,r] at the branch's side.
            estimate: the render of `planes`, at the same side.
            planes: those of ws.
            ws: [N,num_ws,w_dim].
            camera: N cameras.
        """
        inputs = [estimate, photo - estimate]
        first: Tensor | None = None
        if self.config.is_v2:
            with torch.no_grad():
                mirrored: Render = generator.render(planes, ws, camera.mirrored())
            inputs.append(photo.flip(3) - resize_photo(mirrored.image, photo.shape[-1]))
            first = channels_first(planes.features)
        return channels_last(self.triplanenet_encoder(torch.cat(inputs, 1), first))

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Everything that makes it, for a safetensors file: tensors, and metadata of plain text."""
        tensors = {**self.state_dict(), "latent_avg": self.latent_avg}
        metadata = {
            "kind": KIND,
            "config": json.dumps(self.config.to_dict()),
            "generator": self.generator_fingerprint,
        }
        return {name: tensor.contiguous() for name, tensor in tensors.items()}, metadata


def channels_last(planes: Float[Tensor, "n pc h w"]) -> Float[Tensor, "n 3 h w c"]:
    """The published layout of three planes -> ours."""
    n, channels, height, width = planes.shape
    return planes.reshape(n, 3, channels // 3, height, width).permute(0, 1, 3, 4, 2).contiguous()


def channels_first(features: Float[Tensor, "n 3 h w c"]) -> Float[Tensor, "n pc h w"]:
    """Our layout of three planes -> the published one."""
    n, _, height, width, _ = features.shape
    return features.permute(0, 1, 4, 2, 3).reshape(n, -1, height, width)


def check_planes(branch: BranchConfig, generator: Generator) -> None:
    """Refuse a branch whose planes the generator does not have.

    Raises:
        WeightsError: side or channels differ.
    """
    own = (branch.resolution, branch.plane_channels)
    other = (generator.config.plane_resolution, 3 * generator.config.plane_channels)
    if own != other:
        raise WeightsError(
            f"This TriPlaneNet changes planes of {own[0]} pixels and {own[1]} channels, the generator has {other[0]} "
            f"and {other[1]}. Load the generator that it was trained for."
        )
