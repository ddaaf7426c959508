"""z and a conditioning camera -> ws."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .config import GeneratorConfig
from .layers import FullyConnected


def unit_second_moment(x: Tensor) -> Tensor:
    """x / sqrt(mean(x^2)) along the last axis."""
    return x * (x.square().mean(-1, keepdim=True) + 1e-8).rsqrt()


class Mapping(nn.Module):
    """Two fully connected layers on the normalised z and, after it, the normalised embedding of the camera.

    The mean latent `w_avg` is kept for truncation.
    """

    w_avg: Tensor

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.num_ws = config.num_ws
        self.label_scale = 0.0 if config.c_gen_conditioning_zero else config.c_scale
        self.num_layers = config.mapping_layers
        self.z_dim = config.z_dim
        self.embed = FullyConnected(config.c_dim, config.w_dim)
        n_in = config.z_dim + config.w_dim
        for i in range(self.num_layers):
            setattr(self, f"fc{i}", FullyConnected(n_in, config.w_dim, lr_multiplier=0.01, lrelu=True))
            n_in = config.w_dim
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def layers(self) -> list[FullyConnected]:
        """The fully connected layers, in order."""
        return [self.get_submodule(f"fc{i}") for i in range(self.num_layers)]  # type: ignore[misc]

    def forward(
        self,
        z: Float[Tensor, "n z"],
        label: Float[Tensor, "n 25"],
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Float[Tensor, "n l w"]:
        """The latents [N,L,w_dim].

        psi pulls the first `truncation_cutoff` rows, or all where that is None, towards the mean latent.
        """
        h = torch.cat([unit_second_moment(z), unit_second_moment(self.embed(label * self.label_scale))], 1)
        for layer in self.layers():
            h = layer(h)
        ws = h[:, None].repeat(1, self.num_ws, 1)
        if truncation_psi != 1:
            cutoff = self.num_ws if truncation_cutoff is None else truncation_cutoff
            ws[:, :cutoff] = self.w_avg.lerp(ws[:, :cutoff], truncation_psi)
        return ws
