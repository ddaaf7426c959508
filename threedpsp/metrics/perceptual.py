"""Perceptual distances between images: ST-LPIPS, and LPIPS where its files are present.

Both compare unit-length features of a frozen trunk, weighted per channel and averaged over the image.
They are different measures with different values: their names must not be mixed up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import InputError, MissingDependencyError, WeightsError
from ..precision import FLOAT32, Precision
from ..weights.torch_file import read_torch
from .package_files import package_file
from .trunks import Trunk, alexnet, unit_length, vgg16

TrunkName = Literal["alex", "vgg"]
SMALLEST_SIDE = 32

IMAGENET_SHIFT = (-0.030, -0.088, -0.188)  # of images in [-1,1]
IMAGENET_SCALE = (0.458, 0.448, 0.450)

TRUNK_FILES = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}
TRUNK_URL = "https://download.pytorch.org/models/"


class PerceptualDistance(nn.Module):
    """The distance of images [N,3,H,W] from -1 to 1 in the feature space of a trunk; 0 where they are equal.

    Its weights are frozen; the result is differentiable in both images.

    For an optimisation with a fixed target, make the target's features once:
    `target = metric.features(y)`, then `metric.distance(metric.features(x), target)` in the loop.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, trunk: Trunk, heads: list[Tensor]) -> None:
        """A trunk with its weights, and for each of its maps the non-negative channel weights [C_i]."""
        super().__init__()
        self.trunk = trunk
        self.register_buffer("shift", torch.tensor(IMAGENET_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(IMAGENET_SCALE).view(1, 3, 1, 1))
        for index, (head, channels) in enumerate(zip(heads, trunk.channels, strict=True)):
            self.register_buffer(f"head_{index}", head.reshape(1, channels, 1, 1))
        self.requires_grad_(False).train(False)

    def features(self, x: Float[Tensor, "n 3 h w"], precision: Precision = FLOAT32) -> list[Tensor]:
        """Unit-length feature maps of images in [-1,1].

        precision: of the convolutions, where this is a loss; measures leave it as it is.

        Raises:
            InputError: not [N,3,H,W], or a side is below 32 pixels.
        """
        if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < SMALLEST_SIDE:
            raise InputError(
                f"A perceptual distance needs images [N,3,H,W] of at least {SMALLEST_SIDE} pixels a side; "
                f"got {list(x.shape)}."
            )
        with precision.for_training().autocast(x.device):
            maps = self.trunk((x - self.shift) / self.scale)
        return [unit_length(features.to(x.dtype)) for features in maps]

    def distance(self, x: list[Tensor], y: list[Tensor]) -> Float[Tensor, " n"]:
        """Distance between the features of N images and those of N images, or of one."""
        per_map = [
            F.conv2d((a - b).square(), self.get_buffer(f"head_{index}")).mean((1, 2, 3))
            for index, (a, b) in enumerate(zip(x, y, strict=True))
        ]
        return torch.stack(per_map).sum(0)

    def forward(
        self, x: Float[Tensor, "n 3 h w"], y: Float[Tensor, "n 3 h w"], precision: Precision = FLOAT32
    ) -> Float[Tensor, " n"]:
        """Distance of each pair of images in [-1,1]; precision as in `features`.

        Raises:
            InputError: the images differ in shape, or are too small.
        """
        if x.shape != y.shape:
            raise InputError(f"Images of equal shape are compared; got {list(x.shape)} and {list(y.shape)}.")
        return self.distance(self.features(x, precision), self.features(y, precision))


class STLPIPS(PerceptualDistance):
    """The perceptual distance that tolerates shifts (Ghildyal and Liu, ECCV 2022).

    The weights are those in the package stlpips_pytorch.
    """

    def __init__(self, net: TrunkName = "alex") -> None:
        """Read the weights of one trunk.

        Raises:
            MissingDependencyError: the package stlpips_pytorch is not installed.
        """
        _check_name(net)
        path = package_file(
            "stlpips_pytorch",
            f"weights/vST0.0/{net}_shift_tolerant.pth",
            purpose="The perceptual distance ST-LPIPS",
            install="--no-deps stlpips_pytorch==0.0.2",
        )
        state = read_weights(path)
        trunk = alexnet(shift_tolerant=True) if net == "alex" else vgg16(shift_tolerant=True)
        trunk.load_convolutions(state, "net.slice", path.name)
        super().__init__(trunk, _heads(state, path))


class LPIPS(PerceptualDistance):
    """The first of the learned perceptual distances (Zhang and others, CVPR 2018), in version 0.1.

    The weights of the head come from the package lpips, those of the trunk from the cache of torch.
    """

    def __init__(self, net: TrunkName = "alex", *, trunk_path: Path | None = None) -> None:
        """Read the weights; nothing is downloaded.

        Args:
            net: which trunk.
            trunk_path: the trunk's file; default is its place in torch's hub cache.

        Raises:
            MissingDependencyError: a file is absent; the message says which, and where it goes.
        """
        _check_name(net)
        heads_path = package_file(
            "lpips",
            f"weights/v0.1/{net}.pth",
            purpose="The perceptual distance LPIPS",
            install="--no-deps lpips==0.1.4",
        )
        trunk_path = trunk_path or Path(torch.hub.get_dir()) / "checkpoints" / TRUNK_FILES[net]
        if not trunk_path.is_file():
            raise MissingDependencyError(
                f"LPIPS ({net}) needs the ImageNet weights {TRUNK_FILES[net]}, which are not at {trunk_path}. "
                f"Download {TRUNK_URL}{TRUNK_FILES[net]} to that place, or use ST-LPIPS, which needs no download."
            )
        trunk = alexnet(shift_tolerant=False) if net == "alex" else vgg16(shift_tolerant=False)
        trunk.load_convolutions(read_weights(trunk_path), "features.", trunk_path.name)
        super().__init__(trunk, _heads(read_weights(heads_path), heads_path))


def _check_name(net: str) -> None:
    if net not in get_args(TrunkName):
        raise InputError(f"A perceptual distance has the trunks {', '.join(get_args(TrunkName))}; got '{net}'.")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a torch file, through the guarded reader.

    Raises:
        WeightsError: damaged, hostile, or something else than tensors by name.
    """
    try:
        state = read_torch(path)
    except (WeightsError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as PyTorch weights: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} does not hold weights (tensors by name). Fetch it again.")
    return state


def _heads(state: dict[str, Tensor], path: Path) -> list[Tensor]:
    names = [f"lin{index}.model.1.weight" for index in range(5)]
    missing = [name for name in names if name not in state]
    if missing:
        raise WeightsError(f"{path} lacks {', '.join(missing)}: it is not a file of head weights.")
    return [state[name].clone() for name in names]  # the reader leaves them in the file
