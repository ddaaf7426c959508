"""New networks to train: their sizes, where their weights start, and how their normalisation behaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...eg3d.generator import Generator
from ...encoder.config import EncoderConfig
from ...encoder.encoder import Encoder, ready
from ...encoder.inversion import compute_latent_avg
from ...encoder.triplane_branch import BranchConfig
from ...encoder.triplanenet import TriPlaneNet, TriPlaneNetConfig
from ...errors import InputError
from ...metrics.arcface import ArcFaceIdentity
from .config import NetworkSize, TrainConfig, TrainedMethod

Trained = Encoder | TriPlaneNet
TINY_HEAD_WIDTH = 80  # so that each of the tiny encoders is a file of less than 8 MB
TRUNK = ("input_layer.", "body.")
"""What the names of a trunk's tensors begin with."""


def build_trained(config: TrainConfig, generator: Generator) -> Trained:
    """A new network with random weights that depend on the seed alone, bound to the generator, on its device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = _new(config.method, config.size, generator)
    network.generator_fingerprint = generator.fingerprint
    network.latent_avg.copy_(compute_latent_avg(generator, config.latent_avg_samples).cpu())
    return network.to(generator.device)


def encoder_config(method: TrainedMethod, size: NetworkSize, num_ws: int, w_dim: int) -> EncoderConfig:
    """The encoder of a method; the same trunk for all of a size."""
    if size == "full":
        config = dataclasses.replace(EncoderConfig.threedpsp(), num_ws=num_ws, w_dim=w_dim)
    elif size == "tiny":
        config = dataclasses.replace(EncoderConfig.tiny(num_ws, w_dim), head_width=TINY_HEAD_WIDTH)
    else:
        config = EncoderConfig(
            input_resolution=32,
            depths=(1, 1, 1, 1),
            widths=(8, 8, 16, 16),
            fpn_width=16,
            num_ws=num_ws,
            w_dim=w_dim,
            coarse_rows=2,
            middle_rows=2,
            head_width=16,
            head_init_std=0.1,
            shared_heads=True,
        )
    if method == "3dpsp":
        return config
    config = dataclasses.replace(config, input_channels=3, se_pool="avg", camera_features=0, head_pointwise=False)
    if method != "e4e":
        return config
    if config.shared_heads:  # every row needs a head of its own; narrower ones keep the size
        config = dataclasses.replace(config, shared_heads=False, head_width=max(config.head_width * 3 // 5, 8))
    return dataclasses.replace(config, row_deltas=True)


def branch_config(method: TrainedMethod, size: NetworkSize, generator: Generator) -> BranchConfig:
    """TriPlaneNet's branch for the generator's planes."""
    config = BranchConfig.v2() if method == "triplanenet-v2" else BranchConfig.v1()
    own = generator.config
    if size == "tiny":
        config = dataclasses.replace(
            config, depths=(1, 1, 2, 2), widths=(16, 32, 64, 128), up_channels=(128, 96, 64, 48)
        )
    elif size == "smallest":
        config = dataclasses.replace(config, depths=(1, 1, 1, 1), widths=(8, 8, 8, 8), up_channels=(16, 16, 16, 16))
    return dataclasses.replace(config, resolution=own.plane_resolution, plane_channels=3 * own.plane_channels)


def _new(method: TrainedMethod, size: NetworkSize, generator: Generator) -> Trained:
    own = generator.config
    encoder = encoder_config(method, size, own.num_ws, own.w_dim)
    if not method.startswith("triplanenet"):
        return ready(Encoder(encoder))
    network = TriPlaneNet(TriPlaneNetConfig(encoder, branch_config(method, size, generator)))
    for part in (network.psp_encoder, network.triplanenet_encoder):
        ready(part)
    return network.train(False)


def start_from_irse50(network: Trained, arcface: ArcFaceIdentity) -> int:
    """Copy ArcFace's trunk into the network's; of six input channels, the photo's get it and the estimate's get 0.

    Returns:
        How many tensors were copied.

    Raises:
        InputError: the network's trunk is no IR-SE50.
    """
    source = {n: t for n, t in arcface.state_dict().items() if n.startswith(TRUNK)}
    return _copy_trunk(network, source, "--irse50 starts the published trunk (--size full)")


def start_from_trunk(network: Trained, weights: Trained) -> int:
    """Copy another encoder's trunk; the photo's input channels, and the estimate's where both have them.

    Returns:
        How many tensors were copied.

    Raises:
        InputError: its trunk has other sizes.
    """
    source = {n: t for n, t in _encoder_of(weights).state_dict().items() if n.startswith(TRUNK)}
    return _copy_trunk(network, source, "--trunk starts from an encoder with a trunk of the same --size")


def _encoder_of(network: Trained) -> Encoder:
    return network if isinstance(network, Encoder) else network.psp_encoder


def _copy_trunk(network: Trained, source: dict[str, Tensor], rule: str) -> int:
    """Input channels that the source does not have get 0; those that the network does not have are left out."""
    encoder = _encoder_of(network)
    own = encoder.state_dict()
    first = f"{TRUNK[0]}0.weight"
    weight = torch.zeros_like(own[first]) if first in own else torch.empty(0)
    if first not in source or weight.shape[:1] != source[first].shape[:1] or any(n not in own for n in source):
        raise InputError(f"{rule}; this network's has other sizes.")
    channels = min(weight.shape[1], source[first].shape[1])
    weight[:, :channels] = source[first][:, :channels]
    source = {**source, first: weight}
    if any(own[name].shape != tensor.shape for name, tensor in source.items()):
        raise InputError(f"{rule}; this network's has other sizes.")
    encoder.load_state_dict({**own, **source})
    return len(source)


def start_from(network: Trained, weights: Trained) -> None:
    """Copy the weights of a trained network.

    Raises:
        InputError: it is another network.
    """
    if weights.config != network.config:
        raise InputError(
            f"--init holds {weights.method} of other sizes than this training's network ({network.method}). Choose the "
            "--method and --size that it was trained with."
        )
    network.load_state_dict(weights.state_dict())


def set_training(network: nn.Module, batch_norm: str) -> None:
    """Training mode; with "running", batch normalisation uses the statistics it has and does not adapt them."""
    network.train()
    if batch_norm == "running":
        for norm in norms(network):
            norm.train(False)


def norms(network: nn.Module) -> list[_BatchNorm]:
    """All batch normalisations."""
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]


def running_statistics(network: nn.Module) -> list[Tensor]:
    """Running means and variances of all batch normalisations."""
    return [t for norm in norms(network) for t in (norm.running_mean, norm.running_var) if t is not None]


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Inside, batch normalisation does not count what it sees: for computing the same thing a second time."""
    kept = [
        (norm, norm.momentum, batches, batches.clone())
        for norm in norms(network)
        if norm.training and (batches := norm.num_batches_tracked) is not None
    ]
    for norm, *_ in kept:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, batches, before in kept:
            norm.momentum = momentum
            batches.copy_(before)
