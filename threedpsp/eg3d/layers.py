"""The building blocks of the second version of the style-based generator: equalised layers, modulated convolutions.

Their parameters have the published names. The source is the published network, by its formulas.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import kernels

NoiseMode = Literal["const", "none", "random"]
LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2)


class FullyConnected(nn.Module):
    """A linear layer whose weight and bias are scaled at run time.

    The weight is scaled by the learning rate over the root of the number of inputs, the bias by the learning rate.
    Optionally a leaky ReLU follows (slope 0.2), times the root of two.
    """

    def __init__(self, n_in: int, n_out: int, *, lr_multiplier: float = 1.0, bias: float = 0.0, lrelu: bool = False):
        super().__init__()
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


def upsample2(x: Tensor) -> Tensor:
    """[N,C,H,W] -> [N,C,2H,2W] by the filter [1,3,3,1]."""
    return kernels.upfirdn2d(x, kernels.BLUR_TAPS, up=2, padding=(2, 1))


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style; the parts that SynthesisLayer and ToRGB share."""

    def __init__(self, n_in: int, n_out: int, w_dim: int, kernel: int, conv_clamp: float | None):
        super().__init__()
        self.affine = FullyConnected(w_dim, n_in, bias=1.0)
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.conv_clamp = conv_clamp


class SynthesisLayer(ModulatedConv):
    """A modulated 3 x 3 convolution (optionally to twice the side), demodulated.

    Then come noise, bias, a leaky ReLU (slope 0.2) times the root of two, and a clamp.
    """

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
        """x [N,in,H,W], w [N,w_dim] -> [N,out,H',W']."""
        x = kernels.modulated_conv2d(x, self.weight, self.affine(w), up=self.up)
        return kernels.bias_act(
            x,
            self.bias,
            noise=self.noise(x, noise_mode, generator),
            activation="leaky_relu",
            gain=LRELU_GAIN,
            clamp=self.conv_clamp,
            in_place=True,
        )


class ToRGB(ModulatedConv):
    """Modulated 1x1 convolution without demodulation, noise or activation."""

    def __init__(self, n_in: int, n_out: int, w_dim: int, *, conv_clamp: float | None = None):
        super().__init__(n_in, n_out, w_dim, 1, conv_clamp)
        self.style_gain = 1 / math.sqrt(n_in)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Colours [N,out,H,W] in float32 of x [N,in,H,W], by a style w [N,w_dim]."""
        styles = self.affine(w) * self.style_gain
        x = kernels.modulated_conv2d(x.float(), self.weight, styles, demodulate=False)
        return kernels.bias_act(x, self.bias, clamp=self.conv_clamp, in_place=True)
