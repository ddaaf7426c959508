"""The second network of TriPlaneNet: from the photo and the current render to changes of the planes.

It is a U-Net of residual blocks with squeeze and excitation. Its parameters have the published names, which begin with
`triplanenet_encoder` in checkpoints.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError
from ..metrics.irse_blocks import IRSE50_DEPTHS, IRSE50_WIDTHS, input_layer, irse_body

Upsampler = Literal["pixelshuffle", "upsample"]


@dataclass(frozen=True)
class BranchConfig:
    """Sizes of the branch. The defaults are TriPlaneNet v1's."""

    input_channels: int = 6
    """6: render and error (v1); 9: the mirrored view's error too (v2)."""
    resolution: int = 256
    """Side of the photo it reads and of the planes it changes; a power of two."""
    depths: tuple[int, int, int, int] = IRSE50_DEPTHS
    """Bottlenecks in each stage of the trunk."""
    widths: tuple[int, int, int, int] = IRSE50_WIDTHS
    """Channels of each stage."""
    up_channels: tuple[int, int, int, int] = (512, 384, 256, 96)
    """Channels after each of the four blocks on the way up."""
    plane_channels: int = 96
    """Channels of all three planes together."""
    upsampler: Upsampler = "pixelshuffle"
    """How the side doubles: channels become pixels, or pixels are repeated."""
    sees_planes: bool = False
    """v2: the last convolutions also read the planes that W+ makes."""

    def __post_init__(self) -> None:
        if self.resolution < 32 or self.resolution & (self.resolution - 1):
            raise InputError(f"resolution must be a power of two, at least 32; got {self.resolution}.")
        if self.upsampler not in ("pixelshuffle", "upsample"):
            raise InputError(f"upsampler is 'pixelshuffle' or 'upsample'; got {self.upsampler!r}.")
        if self.upsampler == "pixelshuffle" and any(channels % 4 for channels in self.up_channels):
            raise InputError(f"pixelshuffle needs multiples of 4 channels; got up_channels {self.up_channels}.")

    @staticmethod
    def v1() -> BranchConfig:
        """TriPlaneNet v1."""
        return BranchConfig()

    @staticmethod
    def v2(upsampler: Upsampler = "pixelshuffle") -> BranchConfig:
        """TriPlaneNet v2 with one of its two ways of growing."""
        channels = (512, 384, 256, 96) if upsampler == "pixelshuffle" else (512, 256, 128, 64)
        return BranchConfig(input_channels=9, up_channels=channels, upsampler=upsampler, sees_planes=True)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> BranchConfig:
        """From `dataclasses.asdict` after JSON.

        Raises:
            InputError: an unknown name, or values that do not fit together.
        """
        if unknown := sorted(set(values) - {f.name for f in dataclasses.fields(BranchConfig)}):
            raise InputError(f"Unknown setting(s) of the plane branch: {', '.join(unknown)}.")
        arguments: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return BranchConfig(**arguments)


class DoubleConv(nn.Module):
    """BN, convolution, PReLU, convolution, and two PReLUs, as published."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.Conv2d(in_channels, channels, 3, padding=1),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.PReLU(channels),
            nn.PReLU(channels),
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n e h w"]:
        """[N,in_channels,H,W] -> [N,channels,H,W]."""
        return self.double_conv(x)


class UpBlock(nn.Module):
    """Doubles the side (the first block does not), puts the skip before it, then `DoubleConv`."""

    def __init__(self, in_channels: int, channels: int, upsampler: Upsampler | None) -> None:
        """in_channels: after joining. upsampler: None = the side stays."""
        super().__init__()
        self.upsampler = upsampler
        self.conv = DoubleConv(in_channels, channels)

    def forward(self, x: Float[Tensor, "n c h w"], skip: Float[Tensor, "n d h2 w2"]) -> Float[Tensor, "n e h2 w2"]:
        """Both at the skip's side together -> [N,channels,h2,w2]."""
        if self.upsampler is not None:
            x = grow(x, self.upsampler)
        return self.conv(torch.cat([skip, x], 1))


def grow(x: Float[Tensor, "n c h w"], upsampler: Upsampler) -> Float[Tensor, "n d h2 w2"]:
    """Twice the side: four channels make one of 2x2 pixels, or every pixel becomes four equal ones."""
    if upsampler == "pixelshuffle":
        return F.pixel_shuffle(x, 2)
    return F.interpolate(x, scale_factor=2, mode="nearest")


class TriplaneBranch(nn.Module):
    """Render and errors [N,6 or 9,R,R] (and the W+ planes) -> what to add to the planes [N,96,R,R]."""

    def __init__(self, config: BranchConfig) -> None:
        super().__init__()
        self.config = config
        self.input_layer = input_layer(config.input_channels, config.widths[0])
        self.body = irse_body(config.depths, config.widths, "avg")
        shrink = 4 if config.upsampler == "pixelshuffle" else 1
        skips = (config.widths[3], config.widths[2], config.widths[1], config.widths[0])
        below = config.widths[3]
        for index, (skip, channels) in enumerate(zip(skips, config.up_channels, strict=True), 1):
            grown = below if index == 1 else below // shrink
            self.add_module(f"up{index}", UpBlock(skip + grown, channels, None if index == 1 else config.upsampler))
            below = channels
        planes = config.plane_channels
        head = nn.Sequential(
            nn.Conv2d(below // shrink + (planes if config.sees_planes else 0), planes, 3, padding=1),
            nn.PReLU(planes),
            nn.Conv2d(planes, planes, 3, padding=1),
            nn.PReLU(planes),
            nn.Conv2d(planes, planes, 1),
        )
        self.head_name = "final_head_two" if config.sees_planes else "final_head"
        self.add_module(self.head_name, head)

    def forward(
        self, x: Float[Tensor, "n c r r"], planes: Float[Tensor, "n p r r"] | None = None
    ) -> Float[Tensor, "n p r r"]:
        """What to add to the planes, channels first.

        Args:
            x: [N,input_channels,R,R]: render, photo - render (v2: and flipped photo - mirrored render).
            planes: [N,plane_channels,R,R] of the current ws; v2 only.

        Raises:
            InputError: x has another shape, or the planes are missing.
        """
        config = self.config
        expected = (config.input_channels, config.resolution, config.resolution)
        if tuple(x.shape[1:]) != expected:
            raise InputError(f"This branch takes [N,{', '.join(map(str, expected))}]; got {list(x.shape)}.")
        if config.sees_planes and planes is None:
            raise InputError("This branch (TriPlaneNet v2) also reads the planes; pass planes=.")
        first, second, third, _ = config.depths
        # the skips: after each of the first three stages, and after the first block of the last
        taken = (first - 1, first + second - 1, first + second + third - 1, first + second + third)
        skips = []
        y = self.input_layer(x.to(self.get_parameter("input_layer.0.weight").dtype))
        for index, block in enumerate(self.body):
            y = block(y)
            if index in taken:
                skips.append(y)
        for index, skip in enumerate(reversed(skips), 1):
            y = self.get_submodule(f"up{index}")(y, skip)
        y = grow(y, config.upsampler)
        if planes is not None and config.sees_planes:
            y = torch.cat([planes.to(y), y], 1)
        return self.get_submodule(self.head_name)(y).to(x.dtype)
