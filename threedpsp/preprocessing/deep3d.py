"""The residual network of Deep3DFaceRecon: from the crop of a face to the 257 coefficients of a face in space.

The camera follows from those of the pose. Only the network is needed, no face model and no rasteriser,
because the pose is read from the coefficients. The names of the parameters are the published ones. The source is the
published network, checked against its recorded values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..camera import Camera
from ..errors import InputError, WeightsError
from .align import DEEP3D_RESCALE, DEEP3D_TARGET, crop_face
from .pose import PoseConvention, camera_from_deep3d

CHECKPOINT_KEY = "net_recon"
WEIGHTS_FILE = "epoch_20.pth"
KIND = "deep3d"

_PARTS = (80, 64, 80, 3, 27, 2, 1)  # identity, expression, texture, angle, light, and translation in two layers
_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # width and blocks of ResNet-50
_EXPANSION = 4


@dataclass(frozen=True)
class Coefficients:
    """[N,257] by meaning: the face model's identity, expression and texture, and angle, light, translation.

    angle: [N,3] radians about x, y, z. translation: [N,3] in the face model's units.
    """

    identity: Tensor
    expression: Tensor
    texture: Tensor
    angle: Tensor
    light: Tensor
    translation: Tensor

    @staticmethod
    def split(values: Float[Tensor, "n 257"]) -> Coefficients:
        """From the network's output."""
        return Coefficients(*values.split([80, 64, 80, 3, 27, 3], dim=1))


class _Bottleneck(nn.Module):
    """1x1, 3x3 (strided), 1x1 convolution, each with BN; added to the shortcut, then ReLU."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        channels = _EXPANSION * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class _ResNet50(nn.Module):
    """Images -> features [N,2048,H/32,W/32]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for index, (width, blocks) in enumerate(_STAGES, 1):
            stage = []
            for block in range(blocks):
                stage.append(_Bottleneck(channels, width, 2 if index > 1 and block == 0 else 1))
                channels = _EXPANSION * width
            self.add_module(f"layer{index}", nn.Sequential(*stage))

    def forward(self, x: Tensor) -> Tensor:
        y = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for index in range(1, len(_STAGES) + 1):
            y = self.get_submodule(f"layer{index}")(y)
        return y


class Deep3D(nn.Module):
    """The network: from crops of faces [N,3,224,224] to coefficients [N,257].

    The crops are those that the function `deep3d_crop` cuts, and their colours are from 0 to 1. The weights are frozen.
    """

    def __init__(self) -> None:
        """Without weights yet; see `from_state`."""
        super().__init__()
        self.backbone = _ResNet50()
        features = _EXPANSION * _STAGES[-1][0]
        self.final_layers = nn.ModuleList(nn.Conv2d(features, part, 1) for part in _PARTS)
        self.requires_grad_(False).train(False)

    @staticmethod
    def from_state(checkpoint: Mapping[str, Any]) -> Deep3D:
        """The frozen network with the weights of a state dict, or of a published checkpoint (its entry `net_recon`).

        Raises:
            WeightsError: the weights are of another network.
        """
        state = checkpoint.get(CHECKPOINT_KEY, checkpoint)
        network = Deep3D()
        try:
            missing, unknown = network.load_state_dict(state, strict=False)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise WeightsError(f"These are not the weights of Deep3DFaceRecon's ResNet-50 ({error}).") from error
        missing = [name for name in missing if not name.endswith("num_batches_tracked")]
        if missing or unknown:
            raise WeightsError(
                f"These are not the weights of Deep3DFaceRecon's ResNet-50: {len(missing)} tensors missing, "
                f"{len(unknown)} unknown (first: {[*missing, *unknown][0]}). Expected {WEIGHTS_FILE}, a checkpoint "
                f"with the entry '{CHECKPOINT_KEY}'."
            )
        return network

    def train(self, mode: bool = True) -> Deep3D:
        """Stays in evaluation mode: its normalisation must not adapt."""
        return super().train(False)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 257"]:
        """Coefficients of crops, RGB in [0,1]."""
        if tuple(images.shape[1:]) != (3, DEEP3D_TARGET, DEEP3D_TARGET):
            raise InputError(f"Deep3D reads crops [N,3,224,224]; got {list(images.shape)}.")
        pooled = self.backbone(images).mean((2, 3), keepdim=True)
        return torch.cat([layer(pooled) for layer in self.final_layers], 1).flatten(1)

    @torch.no_grad()
    def camera(self, image: np.ndarray, five: np.ndarray, convention: PoseConvention = "orig") -> Camera:
        """The camera of one photo.

        Args:
            image: uint8 [H,W,3], RGB.
            five: [5,2] in its pixels: eyes, nose tip, mouth corners (see `align.py`).
            convention: see `camera_from_deep3d`; "orig" is what 3DpSp uses.

        Raises:
            InputError: the points coincide, or lie outside the photo.
        """
        crop = torch.from_numpy(deep3d_crop(image, five)).to(next(self.parameters()).device)
        found = Coefficients.split(self(crop.permute(2, 0, 1)[None].float() / 255))
        camera = camera_from_deep3d(found.angle, found.translation, convention)
        if not torch.isfinite(camera.cam2world).all():
            raise InputError("Deep3D found no pose in this photo (its coefficients are not numbers).")
        return camera.to("cpu")

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Everything that makes it, for a safetensors file: tensors, and metadata of plain text."""
        return {name: t.contiguous() for name, t in self.state_dict().items()}, {"kind": KIND, "config": "{}"}


def deep3d_crop(image: np.ndarray, five: np.ndarray) -> np.ndarray:
    """The network's input, uint8 [224,224,3], from a photo and its five points."""
    crop, _ = crop_face(image, five, target=DEEP3D_TARGET, rescale=DEEP3D_RESCALE, centre=None)
    return np.array(crop)
