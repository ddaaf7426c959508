"""A trained generator put into one with a larger picture."""

from __future__ import annotations

import torch

from ..eg3d.generator import Generator
from ..errors import InputError

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
