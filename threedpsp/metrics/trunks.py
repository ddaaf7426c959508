"""The networks AlexNet and VGG16 up to the last convolution, which perceptual metrics use: they give five maps.

Each comes plain, as it was trained to name pictures, and tolerant of shifts (as Ghildyal and Liu made them): there a
step of stride 1, followed by a binomial blur of 3 x 3 pixels with stride 2, padded by reflection, stands for every
stride.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import WeightsError

ALEX_CHANNELS = (64, 192, 384, 256, 256)
VGG_CHANNELS = (64, 128, 256, 512, 512)
VGG_CONVS = (2, 2, 3, 3, 3)


class BlurPool(nn.Module):
    """3x3 binomial blur with stride 2 after reflection padding of 2 on every side, each channel by itself.

    A side of s becomes s // 2 + 1 + s % 2; it must be at least 3.
    """

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """Blur and halve."""
        channels = x.shape[1]
        binomial = x.new_tensor([0.25, 0.5, 0.25])
        kernel = (binomial[:, None] * binomial).expand(channels, 1, 3, 3)
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=channels)


class BlurredConv(nn.Conv2d):
    """A stride-1 convolution followed by `BlurPool`, in one step of about a third of the cost.

    Both are linear, so inside the map they are one convolution with stride 2, whose kernel is the convolution of both.
    At the border the reflected rows repeat inner ones: the first output row equals the second; the last equals the one
    before where the convolution's output is odd, and else averages its last two rows.
    """

    INNER = (0.25, 0.5, 0.25)
    LAST = (0.5, 0.5)

    def __init__(self, before: int, channels: int, side: int, margin: int) -> None:
        """`before` channels in, `channels` out, a square kernel, zeros of width `margin` around the input."""
        super().__init__(before, channels, side)
        self.margin = margin
        self._blurred: dict[tuple[tuple[float, ...], ...], Tensor] = {}

    @torch.no_grad()
    def keep_kernels(self) -> None:
        """From now on the weights stay as they are: make the kernels of both once, which is a tenth of the time."""
        self._blurred = {
            (down, across): self._kernel(down, across)
            for down in (self.INNER, self.LAST)
            for across in (self.INNER, self.LAST)
        }

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> BlurredConv:
        """Kept kernels are made anew on another device or in another type."""
        super()._apply(fn, recurse)
        if self._blurred:
            self.keep_kernels()
        return self

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """What `BlurPool` makes of the convolution."""
        x = F.pad(x, (self.margin,) * 4)
        inner = self._rows(x, self.INNER)
        last = inner[:, :, -1:]
        if (x.shape[2] - self.kernel_size[0] + 1) % 2 == 0:
            last = self._rows(x[:, :, -self.kernel_size[0] - 1 :], self.LAST)
        return torch.cat([inner[:, :, :1], inner, last], 2)

    def _rows(self, x: Tensor, down: tuple[float, ...]) -> Tensor:
        """Rows filtered by `down`, with their first and last columns."""
        inner = self._filtered(x, down, self.INNER)
        last = inner[..., -1:]
        if (x.shape[3] - self.kernel_size[1] + 1) % 2 == 0:
            last = self._filtered(x[..., -self.kernel_size[1] - 1 :], down, self.LAST)
        return torch.cat([inner[..., :1], inner, last], 3)

    def _filtered(self, x: Tensor, down: tuple[float, ...], across: tuple[float, ...]) -> Tensor:
        kernel = self._blurred.get((down, across))
        return F.conv2d(x, self._kernel(down, across) if kernel is None else kernel, self.bias, stride=2)

    def _kernel(self, down: tuple[float, ...], across: tuple[float, ...]) -> Tensor:
        """Convolution and blur in one."""
        blur = self.weight.new_tensor(down)[:, None] * self.weight.new_tensor(across)
        kernel = F.conv_transpose2d(self.weight.flatten(0, 1)[:, None], blur[None, None])[:, 0]
        return kernel.unflatten(0, self.weight.shape[:2]).contiguous(memory_format=torch.channels_last)


class Trunk(nn.Module):
    """Five stages, one after another; the output of each is a feature map."""

    def __init__(self, stages: Sequence[nn.Module], channels: tuple[int, ...]) -> None:
        """The stages, and how many channels each puts out."""
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.channels = channels
        for convolution in self.convolutions():  # pooling with stride 1 is ten times faster with channels last
            convolution.weight.data = convolution.weight.data.contiguous(memory_format=torch.channels_last)

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Feature maps [N,C_i,H_i,W_i] after each stage's last ReLU."""
        maps = []
        x = x.contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def convolutions(self) -> list[nn.Conv2d]:
        """The learned layers, in forward order."""
        return [module for module in self.modules() if isinstance(module, nn.Conv2d)]

    def load_convolutions(self, state: dict[str, Tensor], prefix: str, source: str) -> None:
        """Fill the convolutions, in order, from the state's entries `<prefix>...<layer number>.{weight,bias}`.

        Raises:
            WeightsError: the file holds another network.
        """
        names = [name[: -len(".weight")] for name in state if name.startswith(prefix) and name.endswith(".weight")]
        names.sort(key=lambda name: int(name.rsplit(".", 1)[1]))
        convolutions = self.convolutions()
        if len(names) != len(convolutions):
            raise WeightsError(
                f"{source} has {len(names)} convolutions under '{prefix}'; expected {len(convolutions)}."
            )
        for name, convolution in zip(names, convolutions, strict=True):
            weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
            if weight.shape != convolution.weight.shape:
                raise WeightsError(
                    f"{source}: {name}.weight is {list(weight.shape)}, expected {list(convolution.weight.shape)}."
                )
            convolution.load_state_dict({"weight": weight, "bias": bias})
            if isinstance(convolution, BlurredConv):
                convolution.keep_kernels()


def alexnet(*, shift_tolerant: bool) -> Trunk:
    """The five convolutions of the network, which have 64, 192, 384, 256 and again 256 channels."""
    c1, c2, c3, c4, c5 = ALEX_CHANNELS
    if shift_tolerant:
        first: list[nn.Module] = [BlurredConv(3, c1, 11, margin=2), nn.ReLU()]
        pool: list[nn.Module] = [nn.MaxPool2d(3, stride=1), BlurPool()]
    else:
        first = [nn.Conv2d(3, c1, 11, stride=4, padding=2), nn.ReLU()]
        pool = [nn.MaxPool2d(3, stride=2)]
    stages = [
        nn.Sequential(*first),
        nn.Sequential(*pool, nn.Conv2d(c1, c2, 5, padding=2), nn.ReLU()),
        nn.Sequential(*pool, nn.Conv2d(c2, c3, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(c3, c4, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(c4, c5, 3, padding=1), nn.ReLU()),
    ]
    return Trunk(stages, ALEX_CHANNELS)


def vgg16(*, shift_tolerant: bool) -> Trunk:
    """VGG16's thirteen convolutions in five stages of 64, 128, 256, 512, 512 channels."""
    pool: list[nn.Module] = [nn.MaxPool2d(2, stride=1), BlurPool()] if shift_tolerant else [nn.MaxPool2d(2, stride=2)]
    stages, before = [], 3
    for index, (count, width) in enumerate(zip(VGG_CONVS, VGG_CHANNELS, strict=True)):
        layers = list(pool) if index else []
        for _ in range(count):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        stages.append(nn.Sequential(*layers))
    return Trunk(stages, VGG_CHANNELS)


def unit_length(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Each pixel's feature vector divided by its length; zero vectors stay zero (with a zero gradient, not NaN)."""
    squared = x.square().sum(1, keepdim=True)
    return x / (torch.sqrt(squared.clamp_min(1e-20)) + 1e-10)
