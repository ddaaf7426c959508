"""The distance of structure and texture, DISTS (Ding and others, 2020), over the maps of the network VGG16.

It is there where the files with its weights are.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import InputError, MissingDependencyError, WeightsError
from .package_files import package_file
from .perceptual import TRUNK_FILES, TRUNK_URL, read_weights
from .trunks import VGG_CHANNELS, VGG_CONVS

CHANNELS = (3, *VGG_CHANNELS)
STABLE = 1e-6
MEAN = (0.485, 0.456, 0.406)  # ImageNet's, of images in [0,1]
DEVIATION = (0.229, 0.224, 0.225)


class L2Pool(nn.Module):
    """Halves a map: root of the squares' mean under a 3x3 Hann window, stride 2, each channel by itself."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """Blur the squares and halve."""
        window = x.new_tensor([0.25, 0.5, 0.25])
        kernel = (window[:, None] * window).expand(x.shape[1], 1, 3, 3)
        return (F.conv2d(x.square(), kernel, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()


class DISTS(nn.Module):
    """The distance of images [N,3,H,W] from -1 to 1: 0 where they are equal, about 1 at most. Weights are frozen."""

    mean: Tensor
    deviation: Tensor
    alpha: Tensor
    beta: Tensor

    def __init__(self, *, weights_path: Path | None = None, trunk_path: Path | None = None) -> None:
        """Read the weights; nothing is downloaded.

        Args:
            weights_path: the file with alpha and beta; default: the one of the package dists-pytorch.
            trunk_path: VGG16's file; default: its place in torch's hub cache.

        Raises:
            MissingDependencyError: a file is absent; the message says which, and where it goes.
            WeightsError: a file holds something else.
        """
        super().__init__()
        weights_path = weights_path or package_file(
            "dists-pytorch", "weights.pt", purpose="The distance DISTS", install="--no-deps dists-pytorch==0.1"
        )
        trunk_path = trunk_path or Path(torch.hub.get_dir()) / "checkpoints" / TRUNK_FILES["vgg"]
        if not trunk_path.is_file():
            raise MissingDependencyError(
                f"DISTS needs the ImageNet weights {TRUNK_FILES['vgg']}, which are not at {trunk_path}. "
                "Run: threedpsp weights download vgg16"
                f" (or fetch {TRUNK_URL}{TRUNK_FILES['vgg']} to that place)."
            )
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))
        self.stages = nn.ModuleList(_stages(read_weights(trunk_path), trunk_path))
        shares = read_weights(weights_path)
        for name in ("alpha", "beta"):
            if name not in shares or shares[name].numel() != sum(CHANNELS):
                raise WeightsError(f"{weights_path} is not DISTS' file: it lacks {name} with {sum(CHANNELS)} numbers.")
            self.register_buffer(name, shares[name].float().reshape(1, -1, 1, 1).clone())
        self.requires_grad_(False).train(False)

    def forward(self, x: Float[Tensor, "n 3 h w"], y: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """Distance of each pair.

        Raises:
            InputError: the images differ in shape.
        """
        if x.shape != y.shape:
            raise InputError(f"Images of equal shape are compared; got {list(x.shape)} and {list(y.shape)}.")
        total = self.alpha.sum() + self.beta.sum()
        alphas, betas = (part.split(CHANNELS, 1) for part in (self.alpha / total, self.beta / total))
        similarity = x.new_zeros(len(x))
        for a, b, alpha, beta in zip(self._maps(x), self._maps(y), alphas, betas, strict=True):
            mean_a, mean_b = a.mean((2, 3), keepdim=True), b.mean((2, 3), keepdim=True)
            texture = (2 * mean_a * mean_b + STABLE) / (mean_a**2 + mean_b**2 + STABLE)
            spread_a = (a - mean_a).square().mean((2, 3), keepdim=True)
            spread_b = (b - mean_b).square().mean((2, 3), keepdim=True)
            joint = (a * b).mean((2, 3), keepdim=True) - mean_a * mean_b
            structure = (2 * joint + STABLE) / (spread_a + spread_b + STABLE)
            similarity = similarity + (alpha * texture + beta * structure).sum((1, 2, 3))
        return 1 - similarity

    def _maps(self, images: Tensor) -> list[Tensor]:
        """The image itself, in [0,1], and VGG's map after each stage."""
        image = (images + 1) / 2
        maps, x = [image], (image - self.mean) / self.deviation
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def _stages(state: dict[str, Tensor], path: Path) -> list[nn.Sequential]:
    """VGG16's five stages with its weights."""
    names = [name for name in state if name.startswith("features.") and name.endswith(".weight")]
    names.sort(key=lambda name: int(name.split(".")[1]))
    if len(names) != sum(VGG_CONVS):
        raise WeightsError(f"{path} has {len(names)} convolutions under 'features.'; VGG16 has {sum(VGG_CONVS)}.")
    stages, remaining = [], iter(names)
    for index, count in enumerate(VGG_CONVS):
        layers: list[nn.Module] = [L2Pool()] if index else []
        for name in (next(remaining) for _ in range(count)):
            weight = state[name].float()
            layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
            layer.load_state_dict({"weight": weight, "bias": state[name[:-6] + "bias"].float()})
            layers += [layer, nn.ReLU()]
        stages.append(nn.Sequential(*layers))
    return stages
