"""The face recognition network of dlib in differentiable torch: a residual network of 29 layers, in the public domain.

The embeddings of two photos of one person lie at a distance of about 0.34, those of different people of about 0.78;
below 0.6 dlib calls two faces one person.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import InputError
from .dlib_file import read_tensors
from .face_chip import CHIP_SIDE, identity_chip
from .package_files import package_file

SAME_PERSON = 0.6  # dlib's threshold
PIXEL_MEAN = (122.782, 117.001, 104.298)  # of RGB in [0,255]
PIXEL_SCALE = 256.0
EMBEDDING = 128
WEIGHTS_FILE = "dlib_face_recognition_resnet_model_v1.dat"

# (channels, whether it halves the map), in forward order
BLOCKS = (
    *((32, False),) * 3,
    (64, True), *((64, False),) * 3,
    (128, True), *((128, False),) * 2,
    (256, True), *((256, False),) * 2,
    (256, True),
)  # fmt: skip


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; halving blocks average-pool the shortcut and add channels of zeros."""

    def __init__(self, before: int, channels: int, halves: bool) -> None:
        """`before` channels in, `channels` out."""
        super().__init__()
        self.halves = halves
        self.first = nn.Conv2d(before, channels, 3, stride=2 if halves else 1, padding=0 if halves else 1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """Convolutions plus shortcut; where their sizes differ by a row or column, the smaller is filled with zeros."""
        y = self.second(F.relu(self.first(x)))
        if self.halves:
            x = F.avg_pool2d(x, 2)
            height, width = max(x.shape[2], y.shape[2]), max(x.shape[3], y.shape[3])
            x, y = _zero_fill(x, y.shape[1], height, width), _zero_fill(y, y.shape[1], height, width)
        return F.relu(x + y)


class DlibIdentity(nn.Module):
    """The network: from chips of faces [N,3,150,150] to embeddings [N,128].

    The chips are images of faces, cut out and turned upright, whose values are from 0 to 255. The embeddings are
    differentiable in the chips, and the weights of the network are frozen.
    """

    output: Tensor
    mean: Tensor

    def __init__(self, path: Path | None = None, *, state: Mapping[str, Tensor] | None = None) -> None:
        """Read the weights; the affine layer after each convolution is folded into it.

        Args:
            path: dlib's .dat file; default is the one in the package face-recognition-models.
            state: the state_dict of another such network, instead of a file.

        Raises:
            MissingDependencyError: the package is not installed.
            WeightsError: the file does not hold this network.
        """
        super().__init__()
        self.first = nn.Conv2d(3, BLOCKS[0][0], 7, stride=2)
        before = (BLOCKS[0][0], *(channels for channels, _ in BLOCKS))
        self.blocks = nn.ModuleList(
            ResidualBlock(b, channels, halves) for b, (channels, halves) in zip(before, BLOCKS, strict=False)
        )
        self.register_buffer("output", torch.empty(BLOCKS[-1][0], EMBEDDING))
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1))
        if state is None:
            self._load(path)
        else:
            self.load_state_dict(state)
        self.requires_grad_(False).train(False)

    def _load(self, path: Path | None) -> None:
        path = path or package_file(
            "face-recognition-models",
            f"models/{WEIGHTS_FILE}",
            purpose="The identity measure",
            install="face-recognition-models==0.3.0",
        )
        convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        shapes = []
        for convolution in convolutions:
            channels = convolution.out_channels
            shapes += [(convolution.weight.numel() + channels, 1), (2 * channels, 1)]
        *pairs, output = read_tensors(path, [*shapes, (BLOCKS[-1][0], EMBEDDING)])
        for convolution, filters_bias, scale_shift in zip(convolutions, pairs[::2], pairs[1::2], strict=True):
            channels = convolution.out_channels
            weight = filters_bias[:-channels].reshape(convolution.weight.shape)
            bias = filters_bias[-channels:, 0]
            scale, shift = scale_shift[:channels, 0], scale_shift[channels:, 0]
            convolution.load_state_dict({"weight": weight * scale[:, None, None, None], "bias": bias * scale + shift})
            convolution.weight.data = convolution.weight.data.contiguous(memory_format=torch.channels_last)
        self.output.copy_(output)

    def forward(self, chips: Float[Tensor, "n 3 150 150"]) -> Float[Tensor, "n 128"]:
        """The embeddings of chips of faces, colours from 0 to 255, upright and centred as `identity_chip` cuts them."""
        if chips.ndim != 4 or tuple(chips.shape[1:]) != (3, CHIP_SIDE, CHIP_SIDE):
            raise InputError(f"The identity network reads chips [N,3,150,150]; got {list(chips.shape)}.")
        chips = chips.contiguous(memory_format=torch.channels_last)  # a sixth faster, with weights that lie so too
        x = F.max_pool2d(F.relu(self.first((chips - self.mean) / PIXEL_SCALE)), 3, stride=2)
        for block in self.blocks:
            x = block(x)
        return x.mean((2, 3)) @ self.output

    def embed(self, images: Float[Tensor, "n 3 h w"], landmarks: Float[Tensor, "n p 2"]) -> Float[Tensor, "n 128"]:
        """The embeddings of the faces at some landmarks (the points of MediaPipe, in pixels) of images from -1 to 1."""
        return self(identity_chip(images, landmarks))

    def distance(
        self,
        a_images: Float[Tensor, "n 3 h w"],
        b_images: Float[Tensor, "n 3 h2 w2"],
        landmarks_a: Float[Tensor, "n p 2"],
        landmarks_b: Float[Tensor, "n p 2"] | None = None,
    ) -> Float[Tensor, " n"]:
        """See `identity_distance`."""
        if landmarks_b is None:
            (height_a, width_a), (height_b, width_b) = a_images.shape[2:], b_images.shape[2:]
            landmarks_b = landmarks_a * landmarks_a.new_tensor([width_b / width_a, height_b / height_a])
        difference = self.embed(a_images, landmarks_a) - self.embed(b_images, landmarks_b)
        return embedding_distance(difference)


def identity_distance(
    a_images: Float[Tensor, "n 3 h w"],
    b_images: Float[Tensor, "n 3 h2 w2"],
    landmarks_a: Float[Tensor, "n p 2"],
    landmarks_b: Float[Tensor, "n p 2"] | None = None,
    *,
    network: DlibIdentity | None = None,
) -> Float[Tensor, " n"]:
    """How different two faces look to the network of dlib: the distance of embeddings; below 0.6 is one person.

    Differentiable in the images.

    Args:
        a_images: images in [-1,1].
        b_images: images in [-1,1], of the same or another size.
        landmarks_a: [N,478,2], MediaPipe's, in pixels of `a_images` (0 = the first pixel's edge).
        landmarks_b: the same for `b_images`; None: the faces stand at the same place (scaled with the image's size).
        network: the network; default is one shared by all calls on that device.
    """
    network = network or shared_network(str(a_images.device))
    return network.distance(a_images, b_images, landmarks_a, landmarks_b)


@lru_cache(maxsize=4)
def shared_network(device: str) -> DlibIdentity:
    """The network on a device, read once."""
    return DlibIdentity().to(device)


def embedding_distance(difference: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Length of each row, with a gradient of zero (not NaN) at zero."""
    return difference.square().sum(1).clamp_min(1e-12).sqrt()


def _zero_fill(x: Tensor, channels: int, height: int, width: int) -> Tensor:
    return F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2], 0, channels - x.shape[1]))
