"""ws -> TriPlanes: StyleGAN2's synthesis network with skip connections, from a learned constant."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import kernels
from ..types import TriPlanes
from .config import GeneratorConfig
from .layers import NoiseMode, SynthesisLayer, ToRGB, upsample2
from .mapping import Mapping


class SynthesisBlock(nn.Module):
    """One resolution: conv0 (x2 up; absent in the first block), conv1, and torgb added to the upsampled skip."""

    def __init__(self, n_in: int, n_out: int, resolution: int, config: GeneratorConfig):
        super().__init__()
        w_dim, noise, clamp = config.w_dim, config.backbone_noise, config.conv_clamp
        self.first = n_in == 0
        if self.first:
            self.const = nn.Parameter(torch.randn(n_out, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(n_in, n_out, w_dim, resolution, up=True, conv_clamp=clamp, noise=noise)
        self.conv1 = SynthesisLayer(n_out, n_out, w_dim, resolution, conv_clamp=clamp, noise=noise)
        self.torgb = ToRGB(n_out, config.backbone_channels, w_dim, conv_clamp=clamp)

    def forward(
        self,
        x: Tensor | None,
        image: Tensor | None,
        ws: Tensor,
        noise_mode: NoiseMode,
        generator: torch.Generator | None,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """x [N,in,r/2,r/2], image [N,rgb,r/2,r/2], ws [N,2 or 3,w_dim] -> x, image at side r; x is of type dtype."""
        rows = iter(ws.unbind(1))
        if x is None or image is None:
            x = self.const[None].expand(ws.shape[0], -1, -1, -1).to(dtype, memory_format=kernels.image_format())
        else:
            x = self.conv0(x, next(rows), noise_mode=noise_mode, generator=generator)
        x = self.conv1(x, next(rows), noise_mode=noise_mode, generator=generator)
        rgb = self.torgb(x, next(rows))
        return x, rgb if image is None else upsample2(image) + rgb


class Synthesis(nn.Module):
    """All blocks; a block's torgb shares its row of ws with the next block's conv0."""

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.resolutions = config.block_resolutions
        self.dtype = torch.float32  # of convolutions
        n_in = 0
        for r in self.resolutions:
            n_out = config.channels(r)
            setattr(self, f"b{r}", SynthesisBlock(n_in, n_out, r, config))
            n_in = n_out

    def forward(
        self, ws: Float[Tensor, "n l w"], noise_mode: NoiseMode = "const", generator: torch.Generator | None = None
    ) -> Float[Tensor, "n c r r"]:
        """The planes of latents [N,L,w_dim] as one image: [N,backbone_channels,plane_resolution,plane_resolution]."""
        x = image = None
        row = 0
        for r in self.resolutions:
            block = cast(SynthesisBlock, self.get_submodule(f"b{r}"))
            convs = 1 if block.first else 2
            x, image = block(x, image, ws[:, row : row + convs + 1], noise_mode, generator, self.dtype)
            row += convs
        assert image is not None
        return image


class Backbone(nn.Module):
    """Mapping and synthesis under EG3D's names."""

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.config = config
        self.synthesis = Synthesis(config)
        self.mapping = Mapping(config)

    def forward(
        self, ws: Float[Tensor, "n l w"], noise_mode: NoiseMode = "const", generator: torch.Generator | None = None
    ) -> TriPlanes:
        """From latents [N,L,w_dim] to planes, channels last.

        Where the model has a background that stays put on the screen, the planes come with it.
        """
        image = self.synthesis(ws, noise_mode, generator)
        c = self.config.plane_channels
        pixels = image.permute(0, 2, 3, 1)  # as it lies in memory; so do the gradients then, which are not copied
        of_planes, of_background = pixels.split([3 * c, pixels.shape[-1] - 3 * c], -1)
        features = of_planes.unflatten(-1, (3, c)).permute(0, 3, 1, 2, 4).contiguous()
        background = None
        if self.config.background == "screen":
            background = (torch.sigmoid(of_background) * 1.002 - 0.001).permute(0, 3, 1, 2)
        return TriPlanes(features, self.config.rendering.box_warp, self.config.plane_axes, background)
