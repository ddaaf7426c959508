"""The blocks of the improved residual trunks with squeeze and excitation that came with ArcFace, with published names.

The identity network and the encoders are built from the same block; only the pooling of the squeeze differs: that of
3DpSp takes the maximum, all others average. Checkpoints fit only the pooling they were trained with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError

SEPool = Literal["avg", "max"]
Norm = Literal["batch", "group"]

IRSE50_DEPTHS = (3, 4, 14, 3)
IRSE50_WIDTHS = (64, 128, 256, 512)


@dataclass(frozen=True)
class BlockShape:
    """Channels in and out and the stride of one bottleneck."""

    in_channels: int
    channels: int
    stride: int


def trunk_blocks(depths: tuple[int, ...] = IRSE50_DEPTHS, widths: tuple[int, ...] = IRSE50_WIDTHS) -> list[BlockShape]:
    """The bottlenecks of a trunk in order; the first of each stage halves the side. Defaults: the 24 of "50 layers"."""
    if len(depths) != len(widths):
        raise InputError(f"A trunk needs as many depths as widths; got {len(depths)} and {len(widths)}.")
    blocks = []
    in_channels = widths[0]
    for depth, width in zip(depths, widths, strict=True):
        for index in range(depth):
            blocks.append(BlockShape(in_channels, width, stride=2 if index == 0 else 1))
            in_channels = width
    return blocks


def norm_layer(channels: int, norm: Norm = "batch") -> nn.Module:
    """BatchNorm as published, or GroupNorm of 16 channels a group, which does not care how small the batch is."""
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(max(channels // 16, 1), channels)


class SEModule(nn.Module):
    """Scales each channel by a number in (0,1) that a small network makes from the channels' pooled values."""

    def __init__(self, channels: int, reduction: int = 16, pool: SEPool = "avg") -> None:
        super().__init__()
        if pool not in ("avg", "max"):
            raise InputError(f"SE pooling is 'avg' or 'max'; got '{pool}'.")
        hidden = max(channels // reduction, 1)
        self.pool = pool
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The features, each channel scaled."""
        pooled = x.mean((2, 3), keepdim=True) if self.pool == "avg" else x.amax((2, 3), keepdim=True)
        return x * self.fc2(F.relu(self.fc1(pooled))).sigmoid()


class BottleneckIRSE(nn.Module):
    """BN, conv, PReLU, strided conv, BN, SE, added to the shortcut; nothing after the sum.

    The shortcut is every stride-th pixel where the channels stay, else a strided 1x1 convolution with BN.
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int, pool: SEPool = "avg", norm: Norm = "batch"
    ) -> None:
        super().__init__()
        self.stride = stride
        self.shortcut_layer: nn.Module | None = None
        if in_channels != channels:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), norm_layer(channels, norm)
            )
        self.res_layer = nn.Sequential(
            norm_layer(in_channels, norm),
            nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
            norm_layer(channels, norm),
            SEModule(channels, 16, pool),
        )

    def forward(self, x: Float[Tensor, "n c_in h w"]) -> Float[Tensor, "n c_out h2 w2"]:
        """[N,C,H,W] -> [N,channels,ceil(H / stride),ceil(W / stride)]."""
        if self.shortcut_layer is None:
            shortcut = x[:, :, :: self.stride, :: self.stride]
        else:
            shortcut = self.shortcut_layer(x)
        return shortcut + self.res_layer(x)


def input_layer(in_channels: int, channels: int, norm: Norm = "batch") -> nn.Sequential:
    """The convolution, norm and PReLU before the first bottleneck."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False), norm_layer(channels, norm), nn.PReLU(channels)
    )


def irse_body(
    depths: tuple[int, ...] = IRSE50_DEPTHS,
    widths: tuple[int, ...] = IRSE50_WIDTHS,
    pool: SEPool = "avg",
    norm: Norm = "batch",
) -> nn.Sequential:
    """The bottlenecks of a trunk as `body.0`, `body.1`, ..."""
    return nn.Sequential(
        *[BottleneckIRSE(b.in_channels, b.channels, b.stride, pool, norm) for b in trunk_blocks(depths, widths)]
    )
