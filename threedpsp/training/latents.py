"""A latent of its own for each portrait, so that similar people start near each other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .portraits import PortraitSet


def principal_latents(portraits: PortraitSet, w_dim: int) -> Tensor:
    """[N,w_dim] from the principal components of small images (the person counts more) and of face meshes.

    Unit root mean square over all; components beyond the data's rank are zero.
    """
    image = F.avg_pool2d(portraits.image.float() / 127.5 - 1, 8)
    mask = F.avg_pool2d(portraits.mask.float()[:, None] / 255, 4)
    pixels = _centred((image * (0.3 + 0.7 * mask)).flatten(1))
    mesh = _centred(portraits.mesh.flatten(1))
    left, strength, _ = torch.linalg.svd(torch.cat([pixels, 0.7 * mesh], 1), full_matrices=False)
    kept = min(w_dim, strength.shape[0] - 1)
    latents = F.pad(left[:, :kept] * strength[:kept].pow(0.7), (0, w_dim - kept))
    return latents / latents.square().mean().sqrt()


def _centred(x: Tensor) -> Tensor:
    x = x - x.mean(0)
    return x / x.norm(dim=1).mean().clamp_min(1e-6)
