"""unsup3d's confidence network (ConfNet): how far a photo is from the render of its flipped shape and colours.

"Confidence" is upstream's word; it is an uncertainty: larger means less sure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import WeightsError

CHECKPOINT_KEY = "netC"
WEIGHTS_FILE = "checkpoint030.pth"
PHOTO_SIDE, STORED_SIDE, INPUT_SIDE = 512, 256, 64
FLIP_CHANNEL = 1  # channel 0 is the uncertainty of the photo's own reconstruction


class ConfNet(nn.Module):
    """The network: from photos [N,3,64,64], with values from -1 to 1, to uncertainties at two scales.

    There are two for every pixel, and they are positive. The names of the parameters are the published ones.
    """

    def __init__(self) -> None:
        super().__init__()
        width, code = 64, 128
        self.network = nn.Sequential(
            *_down(3, width, groups=16),
            *_down(width, 2 * width, groups=32),
            *_down(2 * width, 4 * width, groups=64),
            nn.Conv2d(4 * width, 8 * width, 4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(8 * width, code, 4, bias=False),
            nn.ReLU(),
            nn.ConvTranspose2d(code, 8 * width, 4, bias=False),
            nn.ReLU(),
            *_up(8 * width, 4 * width, groups=64),
            *_up(4 * width, 2 * width, groups=32),
        )
        self.out_net1 = nn.Sequential(
            *_up(2 * width, width, groups=16),
            *_up(width, width, groups=16),
            nn.Conv2d(width, 2, 5, padding=2, bias=False),
            nn.Softplus(),
        )
        self.out_net2 = nn.Sequential(nn.Conv2d(2 * width, 2, 3, padding=1, bias=False), nn.Softplus())

    @staticmethod
    def from_state(checkpoint: Mapping[str, Any]) -> ConfNet:
        """The frozen network with the weights of a state dict, or of an unsup3d checkpoint (its entry `netC`).

        Raises:
            WeightsError: the weights are of another network.
        """
        state = checkpoint.get(CHECKPOINT_KEY, checkpoint)
        network = ConfNet()
        try:
            network.load_state_dict(state)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise WeightsError(
                f"These are not the weights of unsup3d's ConfNet ({error}). Expected its state dict, or a checkpoint "
                f"of unsup3d with the entry '{CHECKPOINT_KEY}'."
            ) from error
        return network.requires_grad_(False).train(False)

    def forward(self, x: Float[Tensor, "n 3 64 64"]) -> tuple[Float[Tensor, "n 2 64 64"], Float[Tensor, "n 2 16 16"]]:
        """The uncertainty of the colours of pixels [N,2,64,64], and that of perceptual features [N,2,16,16]."""
        features = self.network(x)
        return self.out_net1(features), self.out_net2(features)

    def stored_map(self, image: Float[Tensor, "n 3 r r"]) -> Float[Tensor, "n 256 256"]:
        """Uncertainty of the flip, lying on the photo as it is: what unsup3d stores per photo.

        Args:
            image: photos in [-1,1]; 512 pixels is what the published path starts from, others are resized to it.
        """
        if image.shape[-1] != PHOTO_SIDE:
            image = F.interpolate(image, (PHOTO_SIDE, PHOTO_SIDE), mode="bilinear", align_corners=False, antialias=True)
        for side in (STORED_SIDE, INPUT_SIDE):  # two steps, as published: one step is 1e-2 off
            image = F.interpolate(image, (side, side), mode="bilinear", align_corners=False)
        sigma = self(image)[0][:, FLIP_CHANNEL : FLIP_CHANNEL + 1]
        return F.interpolate(sigma, (STORED_SIDE, STORED_SIDE), mode="bilinear", align_corners=False)[:, 0]


def _down(before: int, channels: int, groups: int) -> list[nn.Module]:
    """Halve the side."""
    convolution = nn.Conv2d(before, channels, 4, stride=2, padding=1, bias=False)
    return [convolution, nn.GroupNorm(groups, channels), nn.LeakyReLU(0.2)]


def _up(before: int, channels: int, groups: int) -> list[nn.Module]:
    """Double the side."""
    convolution = nn.ConvTranspose2d(before, channels, 4, stride=2, padding=1, bias=False)
    return [convolution, nn.GroupNorm(groups, channels), nn.ReLU()]
