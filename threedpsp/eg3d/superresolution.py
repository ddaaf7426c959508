"""Volume-rendered features -> the final image, styled by the last row of ws."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .. import kernels
from .config import GeneratorConfig
from .layers import NoiseMode, SynthesisLayer, ToRGB, upsample2


class SuperresolutionBlock(nn.Module):
    """conv0 (x2 up or not), conv1, torgb added to the (upsampled) image."""

    def __init__(self, n_in: int, n_out: int, resolution: int, up: bool, config: GeneratorConfig):
        super().__init__()
        clamp = config.sr_conv_clamp
        self.up = up
        self.noise_mode: NoiseMode = "const" if config.sr_noise else "none"
        self.conv0 = SynthesisLayer(n_in, n_out, config.w_dim, resolution, up=up, conv_clamp=clamp)
        self.conv1 = SynthesisLayer(n_out, n_out, config.w_dim, resolution, conv_clamp=clamp)
        self.torgb = ToRGB(n_out, 3, config.w_dim, conv_clamp=clamp)

    def forward(self, x: Tensor, image: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """x [N,in,r,r], image [N,3,r,r] -> both at r or 2r."""
        x = self.conv1(self.conv0(x, w, noise_mode=self.noise_mode), w, noise_mode=self.noise_mode)
        return x, (upsample2(image) if self.up else image) + self.torgb(x, w)


class Superresolution(nn.Module):
    """Two blocks: 8XDC, 8X, 4X and 2X differ only in sides and channels."""

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.config = config
        self.dtype = torch.float32  # of convolutions
        side, n_in = config.sr_resolution, config.plane_channels
        for i, (up, n_out) in enumerate(zip(config.sr_up, config.sr_channels, strict=True)):
            side *= 2 if up else 1
            setattr(self, f"block{i}", SuperresolutionBlock(n_in, n_out, side, up, config))
            n_in = n_out

    def forward(
        self, image_raw: Float[Tensor, "n 3 r r"], features: Float[Tensor, "n c r r"], ws: Float[Tensor, "n l w"]
    ) -> Float[Tensor, "n 3 s s"]:
        """The final image; sides other than `sr_resolution` are resized to it first."""
        side = self.config.sr_resolution
        if image_raw.shape[-1] != side:
            image_raw, features = (self.resized(t, side) for t in (image_raw, features))
        return self.blocks(image_raw, features, ws)

    def blocks(self, image: Tensor, features: Tensor, ws: Tensor) -> Tensor:
        """The two blocks alone, for an image [N,3,h,w] and features [N,C,h,w] of any size, as those of patches are."""
        x, w = features.to(self.dtype, memory_format=kernels.image_format()), ws[:, -1]
        for i in range(2):
            x, image = self.get_submodule(f"block{i}")(x, image, w)
        return image

    def resized(self, x: Tensor, side: int) -> Tensor:
        """Bilinear to side x side."""
        return F.interpolate(
            x, size=(side, side), mode="bilinear", align_corners=False, antialias=self.config.sr_antialias
        )
