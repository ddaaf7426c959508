"""Trained networks put into new ones that can do a little more."""

from __future__ import annotations

import torch

from ..eg3d.generator import Generator
from ..encoder.encoder import Encoder
from ..errors import InputError
from ..metrics.identity import DlibIdentity

_LEARNED_ANEW = "superresolution.block1."


@torch.no_grad()
def grow_generator(large: Generator, small: Generator) -> None:
    """Fill a new generator with a trained one of the same planes.

    Where the picture's side differs, the last block of super-resolution is learned anew and adds nothing at first.

    Raises:
        InputError: more than that block differs.
    """
    state = small.state_dict()
    grows = small.config.img_resolution != large.config.img_resolution
    for name, value in large.state_dict().items():
        if grows and name.startswith(_LEARNED_ANEW):
            if ".torgb.weight" in name or ".torgb.bias" in name:
                value.zero_()
        elif name in state and state[name].shape == value.shape:
            value.copy_(state[name])
        else:
            there = list(state[name].shape) if name in state else "missing"
            raise InputError(f"Training cannot start from this generator: {name} is {there}, not {list(value.shape)}.")
    large.reset_fingerprint()


@torch.no_grad()
def grow_encoder(large: Encoder, small: Encoder) -> None:
    """Fill a new encoder with a trained one; features of faces that only the new one reads count nothing at first.

    Raises:
        InputError: they differ in more than that.
    """
    missing, unknown = large.load_state_dict(small.state_dict(), strict=False)
    if unknown or any(not name.startswith("face.") for name in missing):
        raise InputError(f"Training cannot start from this encoder: {[*unknown, *missing][0]} is not in both.")
    large.latent_avg.copy_(small.latent_avg)


def fill_face_trunk(encoder: Encoder, identity: DlibIdentity) -> None:
    """Give an encoder that reads features of faces the network that makes them."""
    if encoder.face is not None:
        encoder.face.trunk.fill(identity)
