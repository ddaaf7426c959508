"""The small MLP from a plane feature to density and colour features (EG3D's OSGDecoder)."""

from __future__ import annotations

from torch import nn

from ..kernels import PlaneMLP
from .config import GeneratorConfig
from .layers import FullyConnected


class Decoder(nn.Module):
    """From the channels of the planes, over a hidden layer and a softplus, to one raw sigma and as many colours.

    The colours are those of a sigmoid times 1.002 minus 0.001.
    """

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        c, hidden, lr = config.plane_channels, config.decoder_hidden, config.decoder_lr_mul
        self.net = nn.Sequential(
            FullyConnected(c, hidden, lr_multiplier=lr),
            nn.Softplus(),
            FullyConnected(hidden, 1 + c, lr_multiplier=lr),
        )

    def mlp(self) -> PlaneMLP:
        """The effective weights, as the ray kernels take them."""
        first, last = self.net[0], self.net[2]
        assert isinstance(first, FullyConnected) and isinstance(last, FullyConnected)
        return PlaneMLP(*first.effective(), *last.effective())
