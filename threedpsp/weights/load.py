"""Weights files, official or ours -> generators and encoders. Files are read as data; nothing in them is run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..device import resolve_device
from ..eg3d.config import GeneratorConfig
from ..eg3d.generator import Generator
from ..encoder.config import EncoderConfig
from ..encoder.encoder import Encoder, encoder_from_checkpoint
from ..encoder.inversion import check_belongs, compute_latent_avg
from ..encoder.triplanenet import TriPlaneNet, TriPlaneNetConfig, check_planes
from ..errors import InputError, WeightsError
from ..metrics.arcface import ArcFaceIdentity
from ..output import atomic_write
from ..preprocessing.confnet import ConfNet
from .catalogue import EMBEDDED
from .recognise import Recognised, recognise

_SUFFIXES = (".pkl", ".pt", ".pth", ".safetensors")


def weights_path(name: str | Path, part: str) -> Path:
    """The file of a model's part ("generator" or "encoder"): embedded by name, a folder with both, or the file itself.

    Raises:
        WeightsError: there is no such file; the message lists the names that come with the package.
    """
    base = EMBEDDED.get(str(name), Path(name))
    path = base / f"{part}.safetensors" if base.is_dir() else base
    if not path.is_file():
        raise WeightsError(
            f"No {part} at {path}. Give a file ({', '.join(_SUFFIXES)}), a folder with {part}.safetensors, "
            f"or one of: {', '.join(EMBEDDED)}."
        )
    return path


def load_generator(name: str | Path = "tiny", device: str | torch.device | None = None) -> Generator:
    """A generator in eval mode, frozen.

    Args:
        name: "tiny", a file (EG3D's .pkl, or ours), or a folder with generator.safetensors.
        device: default: CUDA if there, else MPS, else CPU.

    Raises:
        WeightsError: the file is missing, damaged, or does not fit its own config.
    """
    path = weights_path(name, "generator")
    with named(path):
        return generator_from(_of_kind(path, "eg3d-generator")).to(resolve_device(device))


def generator_from(found: Recognised) -> Generator:
    """The generator of a recognised file, in eval mode, frozen, on the CPU; it shares memory with `found.tensors`.

    Raises:
        WeightsError: the file has problems; the message does not name it.
    """
    found.check()
    with torch.device("meta"):  # random numbers that would be overwritten take seconds
        generator = Generator(GeneratorConfig.from_dict(found.config))
    generator.load_state_dict(found.tensors, assign=True)
    return generator.eval().requires_grad_(False)


def load_encoder(name: str | Path, generator: Generator, *, method: Literal["psp", "e4e"] | None = None) -> Encoder:
    """An encoder in eval mode, frozen, on the generator's device, bound to the generator.

    Args:
        name: "tiny", a file (3DpSp's, pSp's or e4e's .pt, or ours), or a folder with encoder.safetensors.
        generator: the one it must belong to. A file of ours knows its generator; official files do not, so that only
            the sizes can be checked: give the generator that the encoder was trained with.
        method: "e4e" or "psp", where the file does not say which.

    Raises:
        WeightsError: the file is missing or damaged, or the encoder belongs to another generator.
    """
    path = weights_path(name, "encoder")
    with named(path):
        return _encoder(_of_kind(path, "encoder"), generator, method)


def load_triplanenet(name: str | Path, generator: Generator) -> TriPlaneNet:
    """TriPlaneNet in eval mode, frozen, on the generator's device, bound to the generator.

    Args:
        name: its official file, or ours.
        generator: see `load_encoder`.

    Raises:
        WeightsError: the file is missing or damaged, or it belongs to another generator.
    """
    path = weights_path(name, "encoder")
    with named(path):
        return _triplanenet(_of_kind(path, "triplanenet"), generator)


def load_inverter(
    name: str | Path, generator: Generator, *, method: Literal["psp", "e4e"] | None = None
) -> Encoder | TriPlaneNet:
    """Whatever the file holds that turns photos into heads: `load_encoder` or `load_triplanenet`.

    Raises:
        WeightsError: the file holds neither, or cannot be used.
    """
    path = weights_path(name, "encoder")
    with named(path):
        found = _of_kind(path, "encoder", "triplanenet")
        if found.kind == "triplanenet":
            return _triplanenet(found, generator)
        return _encoder(found, generator, method)


def load_arcface(path: str | Path) -> ArcFaceIdentity:
    """ArcFace's identity network from `model_ir_se50.pth`, or from our copy of it.

    Raises:
        WeightsError: the file is missing, damaged, or holds another network.
    """
    with named(path):
        found = _of_kind(Path(path), "arcface")
        network = ArcFaceIdentity()
        network.load_state_dict(_with_counters(network, found.tensors))
    return network


def load_confnet(path: str | Path) -> ConfNet:
    """unsup3d's ConfNet from `checkpoint030.pth`, or from our copy of it.

    Raises:
        WeightsError: the file is missing, damaged, or holds another network.
    """
    with named(path):
        return ConfNet.from_state(_of_kind(Path(path), "confnet").tensors)


def with_method(found: Recognised, method: Literal["psp", "e4e"] | None) -> Recognised:
    """The same encoder read as pSp or as e4e: their weights do not differ in names or shapes.

    Raises:
        WeightsError: it is another kind of network.
    """
    if method is None:
        return found
    if found.kind != "encoder" or EncoderConfig.from_dict(found.config).input_channels != 3:
        raise WeightsError(f"it holds {found.what}, not an encoder that could be {method}.")
    return dataclasses.replace(found, config={**found.config, "row_deltas": method == "e4e"})


def check_starts_from(found: Recognised, generator: Generator) -> None:
    """Refuse a recognised encoder or TriPlaneNet whose latents are not the generator's, before building it.

    Raises:
        WeightsError: their shapes, or the generator's fingerprint, differ.
    """
    config = EncoderConfig.from_dict(found.config if found.kind == "encoder" else found.config["encoder"])
    own, other = (config.num_ws, config.w_dim), (generator.config.num_ws, generator.config.w_dim)
    if own != other:
        raise WeightsError(
            f"it makes latents of {own[0]} x {own[1]}, but the generator takes {other[0]} x {other[1]}. "
            "Load the generator that it was trained for."
        )
    fingerprint = found.facts.get("generator", "")
    if fingerprint and fingerprint != generator.fingerprint:
        raise WeightsError(
            f"it was trained for generator {fingerprint}, not for {generator.fingerprint}. "
            "Load the generator that it belongs to."
        )


def with_latent_avg(found: Recognised, generator: Generator) -> dict[str, Tensor]:
    """The tensors of an encoder; where the loop starts is made from the generator if the file lacks it."""
    if "latent_avg" in found.tensors:
        return dict(found.tensors)
    return {**found.tensors, "latent_avg": compute_latent_avg(generator).cpu()}


@contextmanager
def named(path: str | Path) -> Iterator[None]:
    """Puts the file's name before the errors of the block, where it is not there yet."""
    try:
        yield
    except WeightsError as error:
        if str(path) in str(error):
            raise
        raise WeightsError(f"{path}: {error}") from error
    except (InputError, RuntimeError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} does not fit its own config: {error}") from error


def save_generator(generator: Generator, path: Path, **facts: Any) -> None:
    """The generator as fp16 safetensors with its config; `facts` go into the metadata as JSON."""
    metadata = {"kind": "generator", "config": json.dumps(generator.config.to_dict())}
    _save(generator.state_dict(), metadata, path, facts)


def save_encoder(encoder: Encoder, path: Path, **facts: Any) -> None:
    """The encoder as fp16 safetensors with its config and its generator's fingerprint."""
    tensors, metadata = encoder.checkpoint()
    _save(tensors, metadata, path, facts)


def _of_kind(path: Path, *kinds: str) -> Recognised:
    """A recognised file without problems."""
    found = recognise(path, digest=False)
    if found.kind not in kinds:
        raise WeightsError(f"{path} holds {found.what}; a file of the kind {' or '.join(kinds)} is needed here.")
    return found.check()


def _encoder(found: Recognised, generator: Generator, method: Literal["psp", "e4e"] | None) -> Encoder:
    """See `load_encoder`."""
    found = with_method(found, method)
    check_starts_from(found, generator)
    encoder = encoder_from_checkpoint(with_latent_avg(found, generator), _metadata(found))
    check_belongs(encoder, generator)
    encoder.generator_fingerprint = generator.fingerprint
    return encoder.requires_grad_(False).to(generator.device)


def _triplanenet(found: Recognised, generator: Generator) -> TriPlaneNet:
    """See `load_triplanenet`."""
    check_starts_from(found, generator)
    tensors = with_latent_avg(found, generator)
    with torch.device("meta"):
        network = TriPlaneNet(TriPlaneNetConfig.from_dict(found.config))
    network.to_empty(device="cpu")
    network.psp_encoder.latent_avg.copy_(tensors.pop("latent_avg"))
    network.load_state_dict(_with_counters(network, tensors))
    check_planes(network.config.branch, generator)
    network.generator_fingerprint = generator.fingerprint
    return network.eval().requires_grad_(False).to(generator.device)


def _metadata(found: Recognised) -> dict[str, str]:
    """As `encoder_from_checkpoint` takes it."""
    generator = found.facts.get("generator", "")
    return {"kind": found.kind, "config": json.dumps(found.config), "generator": generator}


def _with_counters(network: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, and zero for the counters of batch normalisation that some files leave out."""
    counters = [name for name in network.state_dict() if name.endswith("num_batches_tracked")]
    return {name: torch.zeros((), dtype=torch.int64) for name in counters} | tensors


def _save(tensors: dict[str, Tensor], metadata: dict[str, str], path: Path, facts: dict[str, Any]) -> None:
    half = {n: (t.half() if t.is_floating_point() else t).detach().cpu().contiguous() for n, t in tensors.items()}
    metadata = metadata | {name: json.dumps(value) for name, value in facts.items()}
    with atomic_write(path) as temporary:
        save_file(half, temporary, metadata)
