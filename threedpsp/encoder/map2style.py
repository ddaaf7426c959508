"""map2style: a feature map and a camera become one row of ws (or a few)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..camera import LABEL_DIM


class EqualLinear(nn.Module):
    """A linear layer whose weight is divided by sqrt(inputs) when used; the bias is not scaled."""

    def __init__(self, in_features: int, out_features: int, init_std: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) * init_std)
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        """[N,in] -> [N,out]."""
        return F.linear(x, self.weight / math.sqrt(self.weight.shape[1]), self.bias)


class Map2Style(nn.Module):
    """Strided convolutions down to one pixel, then a linear layer (the published `GradualStyleBlock`).

    The camera's features, if any, are tiled over the map and follow its channels.
    """

    def __init__(
        self,
        in_channels: int,
        size: int,
        width: int,
        w_dim: int,
        *,
        rows: int = 1,
        camera_features: int = 16,
        pointwise: bool = True,
        init_std: float = 1.0,
    ) -> None:
        super().__init__()
        self.size = size
        self.rows = rows
        self.linear_camera: nn.Sequential | None = None
        channels = in_channels
        if camera_features:
            self.linear_camera = nn.Sequential(
                nn.Linear(LABEL_DIM, camera_features),
                nn.LeakyReLU(0.01),
                nn.Linear(camera_features, camera_features),
                nn.Sigmoid(),
            )
            channels += camera_features
        layers: list[nn.Module] = []
        for _ in range(int(math.log2(size))):
            if pointwise:
                layers += [nn.Conv2d(channels, channels, 1), nn.LeakyReLU(0.01)]
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.LeakyReLU(0.01)]
            channels = width
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(width, rows * w_dim, init_std)

    def forward(
        self, features: Float[Tensor, "n c s s"], label: Float[Tensor, "n 25"] | None = None
    ) -> Float[Tensor, "n rows w"]:
        """From features [N,C,size,size], and the 25 numbers of the camera where taken, to latents [N,rows,w_dim]."""
        if self.linear_camera is not None:
            camera = self.linear_camera(label)[:, :, None, None].to(features)
            features = torch.cat([features, camera.expand(-1, -1, *features.shape[2:])], 1)
        return self.linear(self.convs(features).flatten(1).to(self.linear.weight.dtype)).unflatten(1, (self.rows, -1))
