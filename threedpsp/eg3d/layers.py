"""StyleGAN2's building blocks with EG3D's parameter names: equalised layers, modulated convolutions.

Convolutions are computed as scale the input, convolve with shared weights, scale the output: the same numbers as
per-sample weights, but one dense convolution for the whole batch. Source: EG3D's published network, by its formulas.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NoiseMode = Literal["const", "none", "random"]
LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2)


class FullyConnected(nn.Module):
    """y = x (W lr / sqrt(in))^T + b lr, optionally sqrt(2) LeakyReLU.2."""

    def __init__(self, n_in: int, n_out: int, *, lr_multiplier: float = 1.0, bias: float = 0.0, lrelu: bool = False):
        super().__init__()
        # In place: on the meta device, where files are checked, `/` imports torch's compiler, which takes seconds.
        self.weight = nn.Parameter(torch.randn(n_out, n_in).div_(lr_multiplier))
        self.bias = nn.Parameter(torch.full([n_out], bias / lr_multiplier))
        self.weight_gain = lr_multiplier / math.sqrt(n_in)
        self.bias_gain = lr_multiplier
        self.lrelu = lrelu

    def effective(self) -> tuple[Tensor, Tensor]:
        """Weight and bias with their gains applied."""
        return self.weight * self.weight_gain, self.bias * self.bias_gain

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        y = F.linear(x, *self.effective())
        return F.leaky_relu(y, LRELU_SLOPE) * LRELU_GAIN if self.lrelu else y


def resample_kernel(x: Tensor) -> Tensor:
    """The filter 4 outer([1,3,3,1])/64 as a depthwise kernel [C,1,4,4] for x [N,C,H,W]."""
    taps = x.new_tensor([1.0, 3.0, 3.0, 1.0])
    return (torch.outer(taps, taps) / 16).expand(x.shape[1], 1, 4, 4)


def upsample2(x: Tensor) -> Tensor:
    """[N,C,H,W] -> [N,C,2H,2W]: zero insertion, pad (2,1), filter."""
    return F.conv_transpose2d(x, resample_kernel(x), stride=2, padding=1, groups=x.shape[1])


def blur_transposed(x: Tensor) -> Tensor:
    """[N,C,2H+1,2W+1] (of a transposed convolution) -> [N,C,2H,2W]: pad by 1, filter."""
    return F.conv2d(x, resample_kernel(x), padding=1, groups=x.shape[1])


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style; the parts that SynthesisLayer and ToRGB share."""

    def __init__(self, n_in: int, n_out: int, w_dim: int, kernel: int, conv_clamp: float | None):
        super().__init__()
        self.affine = FullyConnected(w_dim, n_in, bias=1.0)
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.conv_clamp = conv_clamp

    def clamped(self, x: Tensor) -> Tensor:
        """Clamp to +-conv_clamp where the layer has one."""
        return x if self.conv_clamp is None else x.clamp(-self.conv_clamp, self.conv_clamp)


class SynthesisLayer(ModulatedConv):
    """Modulated 3x3 convolution (optionally x2 up), demodulated, noise, bias, sqrt(2) LeakyReLU.2, clamp."""

    noise_const: Tensor

    def __init__(
        self,
        n_in: int,
        n_out: int,
        w_dim: int,
        resolution: int,
        *,
        up: bool = False,
        conv_clamp: float | None = None,
        noise: bool = True,
    ):
        super().__init__(n_in, n_out, w_dim, 3, conv_clamp)
        self.up = up
        self.resolution = resolution
        self.has_noise = noise
        if noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros([]))

    def noise(self, x: Tensor, mode: NoiseMode, generator: torch.Generator | None) -> Tensor | None:
        """[1 or N,1,H,W], or None."""
        if mode == "none" or not self.has_noise:
            return None
        if mode == "const":
            return (self.noise_const * self.noise_strength)[None, None]
        drawn = torch.randn(x.shape[0], 1, *x.shape[2:], generator=generator).to(x.device)
        return drawn * self.noise_strength

    def forward(
        self, x: Tensor, w: Tensor, *, noise_mode: NoiseMode = "const", generator: torch.Generator | None = None
    ) -> Tensor:
        """x [N,in,H,W], w [N,w_dim] -> [N,out,H',W'].

        LeakyReLU commutes with a positive gain, so sqrt(2) is applied to what goes in.
        """
        styles = self.affine(w)
        weight = self.weight.to(memory_format=torch.channels_last)
        x = x * styles[:, :, None, None]
        if self.up:
            x = blur_transposed(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        else:
            x = F.conv2d(x, weight, padding=1)
        demodulation = (styles.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt() * LRELU_GAIN
        x = torch.addcmul(self.bias[:, None, None] * LRELU_GAIN, x, demodulation[:, :, None, None])
        noise = self.noise(x, noise_mode, generator)
        if noise is not None:
            x = x + noise * LRELU_GAIN
        return self.clamped(F.leaky_relu(x, LRELU_SLOPE))


class ToRGB(ModulatedConv):
    """Modulated 1x1 convolution without demodulation, noise or activation."""

    def __init__(self, n_in: int, n_out: int, w_dim: int, *, conv_clamp: float | None = None):
        super().__init__(n_in, n_out, w_dim, 1, conv_clamp)
        self.style_gain = 1 / math.sqrt(n_in)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x [N,in,H,W], w [N,w_dim] -> [N,out,H,W]."""
        styles = self.affine(w) * self.style_gain
        return self.clamped(F.conv2d(x * styles[:, :, None, None], self.weight, self.bias))
