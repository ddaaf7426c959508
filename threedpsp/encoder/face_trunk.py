"""What a network that has seen millions of faces makes of a crop: the first stages of dlib's, inside an encoder.

An encoder trained on a few hundred people knows those people; these stages (32, 64 and 128 channels of the ResNet-29
that dlib recognises faces with, public domain) were trained on three million faces, and stay as they are. They read
the part of the crop where a face's chip lies on average, so no landmarks are needed. The maps of photo and estimate are
laid back over the crop and added to the encoder's pyramid by convolutions that begin at zero.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..metrics.face_chip import CHIP_SIDE
from ..metrics.identity import BLOCKS, PIXEL_MEAN, PIXEL_SCALE, DlibIdentity, ResidualBlock

WINDOW = (0.497, 0.541, 0.721)
"""Middle (x, y) and side of an average chip, in sides of the crop."""
STAGES = (64, 128)
"""Channels of the maps that are used; a crop's side is about 26 and 13 of their cells."""


class FaceTrunk(nn.Module):
    """Crops -> dlib's feature maps over them."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        kept = [block for block in BLOCKS if block[0] <= STAGES[-1]]
        before = (kept[0][0], *(channels for channels, _ in kept))
        self.first = nn.Conv2d(3, kept[0][0], 7, stride=2)
        self.blocks = nn.ModuleList(ResidualBlock(b, c, halves) for b, (c, halves) in zip(before, kept, strict=False))
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def fill(self, network: DlibIdentity) -> None:
        """Take the weights of the whole network."""
        self.first.load_state_dict(network.first.state_dict())
        for mine, theirs in zip(self.blocks, network.blocks, strict=False):
            mine.load_state_dict(theirs.state_dict())

    @torch.no_grad()
    def forward(self, image: Float[Tensor, "n 3 r r"]) -> list[Float[Tensor, "n c s s"]]:
        """Images from -1 to 1 -> the maps of `STAGES` over the chip's window, each of mean 0 and variance 1."""
        x, y, side = WINDOW
        theta = image.new_tensor([[side, 0, 2 * x - 1], [0, side, 2 * y - 1]]).expand(len(image), 2, 3)
        grid = F.affine_grid(theta, [len(image), 3, CHIP_SIDE, CHIP_SIDE], align_corners=False)
        chip = (F.grid_sample(image, grid, padding_mode="border", align_corners=False) + 1) * 127.5
        pixels = ((chip - self.mean) / PIXEL_SCALE).to(self.first.weight.dtype)
        features = F.max_pool2d(F.relu(self.first(pixels)), 3, stride=2)
        maps: dict[int, Tensor] = {}
        for block in self.blocks:
            features = block(features)
            maps[features.shape[1]] = F.group_norm(features, 1)
        return [maps[channels] for channels in STAGES]


class FaceFeatures(nn.Module):
    """The trunk's maps of photo and estimate, laid over the crop and added to maps of a pyramid."""

    def __init__(self, images: int, width: int) -> None:
        """images: 2 for photo and estimate, 1 for the photo alone; width: channels of the pyramid."""
        super().__init__()
        self.trunk = FaceTrunk()
        self.join = nn.ModuleList(nn.Conv2d(images * channels, width, 3, padding=1) for channels in STAGES)
        for parameter in self.join.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Float[Tensor, "n c r r"], sides: tuple[int, int]) -> list[Float[Tensor, "n w s s"]]:
        """What is added to the pyramid's maps of two sides.

        Args:
            x: the encoder's input, three channels an image.
            sides: of the maps that dlib's 64 and 128 channels go to.
        """
        per_image = [self.trunk(image) for image in x.split(3, 1)]
        joined = []
        for convolution, side, *maps in zip(self.join, sides, *per_image, strict=True):
            over_crop = torch.cat([_over_crop(m.to(x.dtype), side) for m in maps], 1)
            joined.append(convolution(over_crop.to(convolution.weight.dtype)))
        return joined


def _over_crop(maps: Tensor, side: int) -> Tensor:
    """Maps of the window [N,C,h,w] as part of maps of the whole crop [N,C,side,side]; zero beside it."""
    x, y, size = WINDOW
    theta = maps.new_tensor([[1 / size, 0, (1 - 2 * x) / size], [0, 1 / size, (1 - 2 * y) / size]])
    grid = F.affine_grid(theta.expand(len(maps), 2, 3), [len(maps), maps.shape[1], side, side], align_corners=False)
    return F.grid_sample(maps, grid, padding_mode="zeros", align_corners=False)
