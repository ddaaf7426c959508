"""The systems by name, and from (kind, config, tensors) to a ready network: the one place that knows them all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from ..eg3d.generator import Generator
from ..errors import WeightsError
from ..metrics.arcface import ArcFaceIdentity
from ..preprocessing.confnet import ConfNet
from ..preprocessing.deep3d import Deep3D
from ..unfilled import allocated, unfilled
from .config import EncoderConfig
from .encoder import Encoder, encoder_from_state, fill_network, ready
from .inversion import check_belongs, compute_latent_avg
from .triplanenet import TriPlaneNet, TriPlaneNetConfig, check_planes

MethodName = Literal["3dpsp", "psp", "e4e", "triplanenet-v1", "triplanenet-v2", "pti"]


@dataclass(frozen=True)
class Method:
    """What there is to know about a system before its weights are there."""

    name: MethodName
    title: str
    """For people."""
    weights: tuple[str, ...]
    """Names and file names under which its weights are looked for; none: it needs no weights of its own."""


METHODS: dict[str, Method] = {
    m.name: m
    for m in (
        Method("3dpsp", "3D-pSp, the ReStyle loop", ("3dpsp",)),
        Method("psp", "pSp, one step", ("psp.safetensors", "psp.pt")),
        Method("e4e", "e4e, one step that stays near one w", ("e4e.safetensors", "e4e.pt")),
        Method("triplanenet-v1", "TriPlaneNet v1", ("triplanenet-v1", "triplanenet-v1.pt")),
        Method("triplanenet-v2", "TriPlaneNet v2", ("triplanenet-v2", "triplanenet-v2.pt")),
        Method("pti", "PTI, pivotal tuning without an encoder", ()),
    )
}

BuiltNetwork = Encoder | TriPlaneNet | Deep3D | ArcFaceIdentity | ConfNet
KINDS = ("encoder", "triplanenet", "deep3d", "arcface", "confnet")


def build_method(
    kind: str,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    generator: Generator | None = None,
    generator_fingerprint: str = "",
) -> BuiltNetwork:
    """A network in float32 on the CPU, set to be used and not to be trained.

    Args:
        kind: "encoder" (3DpSp, pSp, e4e), "triplanenet", "deep3d", "arcface" or "confnet".
        config: what `to_dict` makes of an `EncoderConfig` or, for the second kind, of a `TriPlaneNetConfig`; parts may
            be missing, and are then those of 3DpSp and of the first version of TriPlaneNet. The other kinds have none.
        tensors: by their published names, of any floating type; the mean latent `latent_avg` ([w], [1,w], [L,w] or
            [1,L,w]) must be among them unless it can be made from the generator, as published files of the second kind
            need.
        generator: of the first two kinds, to check that they belong together and to make a mean latent that is missing.
        generator_fingerprint: the generator they were trained for; empty = unknown.

    Raises:
        WeightsError: an unknown kind, tensors that do not fit, no latent_avg, or another generator's network.
        InputError: a configuration that makes no sense.
    """
    state = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    if kind == "deep3d":
        return Deep3D.from_state(state)
    if kind == "arcface":
        return ArcFaceIdentity.from_state(state)
    if kind == "confnet":
        return ConfNet.from_state(state)
    if kind not in KINDS:
        raise WeightsError(f"There is no network of the kind {kind!r} here; there are: {', '.join(KINDS)}.")
    latent_avg = state.pop("latent_avg", None)
    network: Encoder | TriPlaneNet
    if kind == "encoder":
        network = encoder_from_state(EncoderConfig.from_dict(dict(config)), state)
    else:
        network = _triplanenet(TriPlaneNetConfig.from_dict(dict(config)), state)
    network.generator_fingerprint = generator_fingerprint
    if generator is not None:
        check_belongs(network, generator)
        if isinstance(network, TriPlaneNet):
            check_planes(network.config.branch, generator)
        if latent_avg is None:
            latent_avg = compute_latent_avg(generator).cpu()
    if latent_avg is None:
        raise WeightsError(
            "This file has no latent_avg (the mean latent that the encoder starts from). "
            "Load it together with its generator, from which it can be made."
        )
    network.latent_avg.copy_(_as_latent(latent_avg, network.latent_avg))
    return network


def method_from_checkpoint(
    tensors: dict[str, Tensor], metadata: Mapping[str, str], generator: Generator | None = None
) -> BuiltNetwork:
    """The network that a `checkpoint()` described, in float32 and eval mode.

    Raises:
        WeightsError: no checkpoint of ours, or tensors that do not fit.
    """
    if metadata.get("kind") not in KINDS:
        raise WeightsError(
            f"This file does not describe a network of ours (its kind is {metadata.get('kind', 'not given')!r})."
        )
    return build_method(
        metadata["kind"],
        json.loads(metadata.get("config", "{}")),
        tensors,
        generator=generator,
        generator_fingerprint=metadata.get("generator", ""),
    )


def _triplanenet(config: TriPlaneNetConfig, state: dict[str, Tensor]) -> TriPlaneNet:
    with unfilled():
        network = TriPlaneNet(config)
    allocated(network)
    fill_network(network, state, "TriPlaneNet")
    for part in (network.psp_encoder, network.triplanenet_encoder):
        ready(part)
    return network.train(False)


def _as_latent(latent_avg: Tensor, like: Tensor) -> Tensor:
    """[w], [1,w], [L,w] or [1,L,w] as [1,L,w]."""
    _, rows, width = like.shape
    if latent_avg.shape[-1:] != (width,) or latent_avg.numel() not in (width, rows * width):
        raise WeightsError(f"latent_avg must be [{rows},{width}] or [{width}]; got {list(latent_avg.shape)}.")
    return latent_avg.float().reshape(1, -1, width).expand_as(like)
