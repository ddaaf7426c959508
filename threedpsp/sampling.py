"""Heads of nobody: samples of a generator, by seed."""

from __future__ import annotations

import torch

from .device import random_generator
from .eg3d.generator import Generator
from .errors import InputError
from .threads import as_many_threads_as_pay
from .types import Inversion, WPlus


@as_many_threads_as_pay()
@torch.no_grad()
def random_head(generator: Generator, seed: int = 0, *, truncation: float = 0.7) -> Inversion:
    """A head drawn from the generator, with a camera that looks at it from the front.

    Args:
        generator: any; the same seed gives the same head on every device.
        seed: of z.
        truncation: how far from the mean: 0 = the mean itself, 1 = all that the generator knows.

    Raises:
        InputError: the truncation is not within 0..1.
    """
    if not 0 <= truncation <= 1:
        raise InputError(f"The truncation lies between 0 and 1; got {truncation}.")
    config = generator.config
    camera = config.camera_sphere.at(0.0).to(generator.device)
    z = torch.randn(1, config.z_dim, generator=random_generator(seed)).to(generator.device)
    ws = generator.mapping(z, camera, truncation_psi=truncation)
    return Inversion(
        latent=WPlus(ws, generator.fingerprint),
        camera=camera,
        info={"random": {"seed": seed, "truncation": truncation}},
    )
