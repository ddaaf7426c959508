"""The network Inception, up to its pool features, as the distances of sets (FID and KID) use it.

It is the one that was published with TensorFlow in 2015, as the file of pytorch-fid holds it, and not that of
torchvision: average pools do not count the padding, and the pool of the last block takes the maximum.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import InputError, WeightsError
from .perceptual import read_weights

WEIGHTS_FILE = "pt_inception-2015-12-05-6726825d.pth"
SIDE = 299
FEATURES = 2048

Size = int | tuple[int, int]
Layer = tuple[str, int, int, Size, int]  # name, channels in, out, kernel, stride; padded to keep the side at stride 1
STEM: tuple[Layer, ...] = (
    ("Conv2d_1a_3x3", 3, 32, 3, 2),
    ("Conv2d_2a_3x3", 32, 32, 3, 1),
    ("Conv2d_2b_3x3", 32, 64, 3, 1),
    ("Conv2d_3b_1x1", 64, 80, 1, 1),
    ("Conv2d_4a_3x3", 80, 192, 3, 1),
)
UNPADDED = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_4a_3x3")
POOL_BEFORE = ("Conv2d_3b_1x1",)  # and after the stem


class ConvNorm(nn.Module):
    """Convolution without bias, BatchNorm, ReLU."""

    def __init__(self, before: int, channels: int, size: Size, stride: int, padded: bool) -> None:
        super().__init__()
        rows, columns = (size, size) if isinstance(size, int) else size
        padding = (rows // 2, columns // 2) if padded else 0
        self.conv = nn.Conv2d(before, channels, (rows, columns), stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=0.001)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """One layer."""
        return F.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Branches side by side, joined by channels. A branch is a chain; a last step of two names is a fork."""

    def __init__(self, layers: dict[str, tuple[int, int, Size, int]], branches: tuple[tuple[str, ...], ...], pool: str):
        """`pool`: how the last branch starts: "average", "max" (both keep the side) or "halve" (and no more)."""
        super().__init__()
        for name, (before, channels, size, stride) in layers.items():
            self.add_module(name, ConvNorm(before, channels, size, stride, padded=stride == 1))
        self.branches, self.pool = branches, pool

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """All branches."""
        joined = []
        for branch in self.branches:
            y = x
            for name in branch:
                if name == "pool":
                    y = self._pooled(y)
                elif "+" in name:
                    y = torch.cat([self.get_submodule(part)(y) for part in name.split("+")], 1)
                else:
                    y = self.get_submodule(name)(y)
            joined.append(y)
        return torch.cat(joined, 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool == "average":
            return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        return F.max_pool2d(x, 3, stride=2) if self.pool == "halve" else F.max_pool2d(x, 3, stride=1, padding=1)


class Inception(nn.Module):
    """The network: from images [N,3,H,W], with values from -1 to 1, to the features after the last pool [N,2048].

    The weights are frozen.
    """

    def __init__(self) -> None:
        """Without weights yet; see `from_file`."""
        super().__init__()
        for name, before, channels, size, stride in STEM:
            self.add_module(name, ConvNorm(before, channels, size, stride, name not in UNPADDED))
        self.blocks = tuple(_blocks())
        for name, block in self.blocks:
            self.add_module(name, block)
        self.requires_grad_(False).train(False)

    @staticmethod
    def from_state(state: Mapping[str, Tensor]) -> Inception:
        """With the weights of a state_dict; the classifier (fc) and the step counters do not matter.

        Raises:
            WeightsError: tensors missing, unknown, or of another shape.
        """
        network = Inception()
        own = network.state_dict()
        given = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
        missing = {name for name in set(own) - set(given) if not name.endswith("num_batches_tracked")}
        if unknown := missing | (set(given) - set(own)):
            raise WeightsError(f"These are not the weights of FID's Inception: {min(unknown)} is missing or unknown.")
        try:
            network.load_state_dict(given, strict=False)
        except RuntimeError as error:
            raise WeightsError(f"These are not the weights of FID's Inception ({error}).") from error
        return network

    @staticmethod
    def from_file(path: Path) -> Inception:
        """From pytorch-fid's file, through the guarded reader.

        Raises:
            WeightsError: damaged, or another network's.
        """
        return Inception.from_state(read_weights(path))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 2048"]:
        """Features of images, brought to 299 pixels (bilinear) as pytorch-fid does."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise InputError(f"Inception reads images [N,3,H,W]; got {list(images.shape)}.")
        x = F.interpolate(images, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        for name, *_ in STEM:
            x = F.max_pool2d(x, 3, stride=2) if name in POOL_BEFORE else x
            x = self.get_submodule(name)(x)
        x = F.max_pool2d(x, 3, stride=2)
        for _, block in self.blocks:
            x = block(x)
        return x.mean((2, 3))


def _blocks() -> list[tuple[str, Block]]:
    """The eleven blocks in order."""
    wide = [_a("Mixed_5b", 192, 32), _a("Mixed_5c", 256, 64), _a("Mixed_5d", 288, 64)]
    middle = [_c(f"Mixed_6{letter}", width) for letter, width in zip("bcde", (128, 160, 160, 192), strict=True)]
    return [*wide, _b(), *middle, _d(), _e("Mixed_7b", 1280, "average"), _e("Mixed_7c", 2048, "max")]


def _a(name: str, before: int, pooled: int) -> tuple[str, Block]:
    layers: dict[str, tuple[int, int, Size, int]] = {
        "branch1x1": (before, 64, 1, 1),
        "branch5x5_1": (before, 48, 1, 1),
        "branch5x5_2": (48, 64, 5, 1),
        "branch3x3dbl_1": (before, 64, 1, 1),
        "branch3x3dbl_2": (64, 96, 3, 1),
        "branch3x3dbl_3": (96, 96, 3, 1),
        "branch_pool": (before, pooled, 1, 1),
    }
    chains = (("branch1x1",), _chain("branch5x5", 2), _chain("branch3x3dbl", 3), ("pool", "branch_pool"))
    return name, Block(layers, chains, "average")


def _b() -> tuple[str, Block]:
    layers: dict[str, tuple[int, int, Size, int]] = {
        "branch3x3": (288, 384, 3, 2),
        "branch3x3dbl_1": (288, 64, 1, 1),
        "branch3x3dbl_2": (64, 96, 3, 1),
        "branch3x3dbl_3": (96, 96, 3, 2),
    }
    return "Mixed_6a", Block(layers, (("branch3x3",), _chain("branch3x3dbl", 3), ("pool",)), "halve")


def _c(name: str, width: int) -> tuple[str, Block]:
    across, down = (1, 7), (7, 1)
    layers: dict[str, tuple[int, int, Size, int]] = {
        "branch1x1": (768, 192, 1, 1),
        "branch7x7_1": (768, width, 1, 1),
        "branch7x7_2": (width, width, across, 1),
        "branch7x7_3": (width, 192, down, 1),
        "branch7x7dbl_1": (768, width, 1, 1),
        "branch7x7dbl_2": (width, width, down, 1),
        "branch7x7dbl_3": (width, width, across, 1),
        "branch7x7dbl_4": (width, width, down, 1),
        "branch7x7dbl_5": (width, 192, across, 1),
        "branch_pool": (768, 192, 1, 1),
    }
    chains = (("branch1x1",), _chain("branch7x7", 3), _chain("branch7x7dbl", 5), ("pool", "branch_pool"))
    return name, Block(layers, chains, "average")


def _d() -> tuple[str, Block]:
    layers: dict[str, tuple[int, int, Size, int]] = {
        "branch3x3_1": (768, 192, 1, 1),
        "branch3x3_2": (192, 320, 3, 2),
        "branch7x7x3_1": (768, 192, 1, 1),
        "branch7x7x3_2": (192, 192, (1, 7), 1),
        "branch7x7x3_3": (192, 192, (7, 1), 1),
        "branch7x7x3_4": (192, 192, 3, 2),
    }
    return "Mixed_7a", Block(layers, (_chain("branch3x3", 2), _chain("branch7x7x3", 4), ("pool",)), "halve")


def _e(name: str, before: int, pool: str) -> tuple[str, Block]:
    layers: dict[str, tuple[int, int, Size, int]] = {
        "branch1x1": (before, 320, 1, 1),
        "branch3x3_1": (before, 384, 1, 1),
        "branch3x3_2a": (384, 384, (1, 3), 1),
        "branch3x3_2b": (384, 384, (3, 1), 1),
        "branch3x3dbl_1": (before, 448, 1, 1),
        "branch3x3dbl_2": (448, 384, 3, 1),
        "branch3x3dbl_3a": (384, 384, (1, 3), 1),
        "branch3x3dbl_3b": (384, 384, (3, 1), 1),
        "branch_pool": (before, 192, 1, 1),
    }
    chains = (
        ("branch1x1",),
        ("branch3x3_1", "branch3x3_2a+branch3x3_2b"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a+branch3x3dbl_3b"),
        ("pool", "branch_pool"),
    )
    return name, Block(layers, chains, pool)


def _chain(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}_{number}" for number in range(1, count + 1))
