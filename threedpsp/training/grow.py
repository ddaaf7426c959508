"""Trained networks put into larger ones of the same kind, which then make what the smaller ones made."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..eg3d.generator import Generator
from ..encoder.encoder import Encoder
from ..errors import InputError


@torch.no_grad()
def grow_generator(large: Generator, small: Generator) -> None:
    """Fill a new generator with a trained one; blocks that only the new one has add nothing at first.

    The planes of the new one are those of the other, enlarged; what super-resolution adds at the new sides is learned
    anew, from nothing.

    Raises:
        InputError: the new one is not the other with more blocks.
    """
    state, own = small.state_dict(), large.state_dict()
    for name, value in own.items():
        if name in state and state[name].shape == value.shape:
            value.copy_(state[name])
        elif name.startswith("superresolution.") or _block(name) not in {_block(n) for n in state}:
            if name.endswith("torgb.weight") or name.endswith("torgb.bias"):
                value.zero_()
        else:
            raise InputError(f"{name} is {list(value.shape)} here and {_shape(state, name)} there; it cannot grow.")
    if small.config.img_resolution != large.config.img_resolution:
        for part in ("weight", "bias"):
            large.get_parameter(f"superresolution.block1.torgb.{part}").zero_()
    large.reset_fingerprint()


@torch.no_grad()
def grow_encoder(large: Encoder, small: Encoder) -> None:
    """Fill a new encoder with a trained one; further rows of ws repeat the last one's.

    Raises:
        InputError: they differ in more than the number of rows.
    """
    state, own = small.state_dict(), large.state_dict()
    w_dim = small.w_dim
    for name, value in own.items():
        trained = state.get(name)
        if trained is None or trained.shape[1:] != value.shape[1:] or len(trained) > len(value):
            raise InputError(f"{name} is {list(value.shape)} here and {_shape(state, name)} there; it cannot grow.")
        missing = len(value) - len(trained)
        if missing % w_dim:
            raise InputError(f"{name} grows by {missing}, which is no number of rows of {w_dim}.")
        value.copy_(torch.cat([trained, *[trained[-w_dim:]] * (missing // w_dim)]))
    large.latent_avg.copy_(more_rows(small.latent_avg, large.num_ws))


def more_rows(ws: Tensor, num_ws: int) -> Tensor:
    """ws [N,L,w_dim] with its last row repeated: [N,num_ws,w_dim]."""
    return torch.cat([ws, ws[:, -1:].expand(-1, num_ws - ws.shape[1], -1)], 1)


def _block(name: str) -> str:
    """The part of a parameter's name that says which block it belongs to."""
    return ".".join(name.split(".")[:3])


def _shape(state: dict[str, Tensor], name: str) -> object:
    return list(state[name].shape) if name in state else "not"


def count_parameters(network: nn.Module) -> int:
    """Numbers that are trained."""
    return sum(parameter.numel() for parameter in network.parameters())
