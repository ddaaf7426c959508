"""Weights files, official or ours -> generators and encoders. Files are read as data; nothing in them is run."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..allocator import keep_freed_memory
from ..device import resolve_device
from ..eg3d.config import GeneratorConfig
from ..eg3d.generator import Generator
from ..encoder.config import EncoderConfig
from ..encoder.encoder import Encoder
from ..encoder.methods import BuiltNetwork, build_method
from ..encoder.triplanenet import TriPlaneNet
from ..errors import WeightsError
from ..metrics.arcface import ArcFaceIdentity
from ..output import atomic_write
from ..precision import Precision, PrecisionName, resolve_precision
from ..preprocessing.confnet import ConfNet
from ..preprocessing.deep3d import Deep3D
from ..unfilled import unfilled
from .catalogue import EMBEDDED, EMBEDDED_ENCODERS
from .limits import SIZE_ERRORS
from .recognise import Recognised, recognise

_Network = TypeVar("_Network", ArcFaceIdentity, ConfNet, Deep3D)
_SUFFIXES = (".pkl", ".pt", ".pth", ".safetensors")


def weights_path(name: str | Path, part: str) -> Path:
    """The file of a model's part ("generator" or "encoder"): embedded by name, a folder with both, or the file itself.

    Raises:
        WeightsError: there is no such file; the message lists the names that come with the package.
    """
    base = {**EMBEDDED, **EMBEDDED_ENCODERS}.get(str(name), Path(name))
    path = base / f"{part}.safetensors" if base.is_dir() else base
    if not os.path.lexists(path):  # of what is there, `recognise` says why it cannot be read
        raise WeightsError(
            f"No {part} at {path}. Give a file ({', '.join(_SUFFIXES)}), a folder with {part}.safetensors, "
            f"or one of: {', '.join([*EMBEDDED, *EMBEDDED_ENCODERS])}."
        )
    return path


def load_generator(
    name: str | Path = "tiny",
    device: str | torch.device | None = None,
    precision: PrecisionName | Precision = "float32",
) -> Generator:
    """A generator in eval mode, frozen. What it frees is kept for the next picture (see `allocator`).

    Args:
        name: "tiny", a file (EG3D's .pkl, or ours), or a folder with generator.safetensors.
        device: default: CUDA if there, else MPS, else CPU.
        precision: in which types its convolutions run.

    Raises:
        WeightsError: the file is missing, damaged, or does not fit its own config.
        InputError: this machine has no such device, or the device does not do that precision.
    """
    where = resolve_device(device)
    types = resolve_precision(precision, where)
    keep_freed_memory()
    path = weights_path(name, "generator")
    with named(path):
        generator = generator_from(_of_kind(path, "eg3d-generator"))
    generator.precision = types
    return generator.to(where)


def generator_from(found: Recognised) -> Generator:
    """The generator of a recognised file, in eval mode, frozen, on the CPU; it shares memory with `found.tensors`.

    Raises:
        WeightsError: the file has problems; the message does not name it.
    """
    found.check()
    with unfilled():  # random numbers that would be overwritten take seconds
        generator = Generator(GeneratorConfig.from_dict(found.config))
    generator.load_state_dict(found.tensors, assign=True)
    return generator.train(False).requires_grad_(False)


def load_inverter(
    name: str | Path, generator: Generator, *, method: Literal["psp", "e4e"] | None = None
) -> Encoder | TriPlaneNet:
    """What turns photos into heads, in eval mode, frozen, on the generator's device, bound to the generator.

    Args:
        name: "tiny", "tiny-psp", "tiny-e4e", a file (3DpSp's, pSp's, e4e's or TriPlaneNet's, official or ours), or a
            folder with encoder.safetensors.
        generator: the one it must belong to. A file of ours knows its generator; official files do not, so that only
            the sizes can be checked: give the generator that the network was trained with.
        method: for encoders: "e4e" or "psp", where the file does not say which.

    Raises:
        WeightsError: the file is missing or damaged, or belongs to another generator.
    """
    path = weights_path(name, "encoder")
    with named(path):
        found = with_method(_of_kind(path, "encoder", "triplanenet"), method)
        check_fits(found, generator)
        network = _built(found, generator)
    if not isinstance(network, Encoder | TriPlaneNet):
        raise WeightsError(f"{path} holds {found.what}; an encoder is needed here.")
    network.generator_fingerprint = generator.fingerprint
    return network.requires_grad_(False).to(generator.device)


def load_encoder(name: str | Path, generator: Generator, *, method: Literal["psp", "e4e"] | None = None) -> Encoder:
    """`load_inverter` for encoders alone: 3DpSp, pSp, e4e and the embedded one.

    Raises:
        WeightsError: as `load_inverter`; also for a TriPlaneNet.
    """
    network = load_inverter(name, generator, method=method)
    if not isinstance(network, Encoder):
        raise WeightsError(f"{weights_path(name, 'encoder')} holds {network.method}; an encoder is needed here.")
    return network


def load_arcface(path: str | Path) -> ArcFaceIdentity:
    """ArcFace's identity network from `model_ir_se50.pth`, or from our copy of it.

    Raises:
        WeightsError: the file is missing, damaged, or holds another network.
    """
    return _load(path, "arcface", ArcFaceIdentity)


def load_confnet(path: str | Path) -> ConfNet:
    """unsup3d's ConfNet from `checkpoint030.pth`, or from our copy of it.

    Raises:
        WeightsError: the file is missing, damaged, or holds another network.
    """
    return _load(path, "confnet", ConfNet)


def load_deep3d(path: str | Path) -> Deep3D:
    """Deep3DFaceRecon's network from `epoch_20.pth`, or from our copy of it.

    Raises:
        WeightsError: the file is missing, damaged, or holds another network.
    """
    return _load(path, "deep3d", Deep3D)


def with_method(found: Recognised, method: Literal["psp", "e4e"] | None) -> Recognised:
    """The same encoder read as pSp or as e4e: their weights do not differ in names or shapes, but our files record it.

    Raises:
        WeightsError: it is another kind of network, or a file of ours that records the other method.
    """
    if method is None:
        return found
    if found.kind != "encoder" or EncoderConfig.from_dict(found.config).input_channels != 3:
        raise WeightsError(f"it holds {found.what}, not an encoder that could be {method}.")
    is_e4e = found.config.get("row_deltas", False)
    if found.facts.get("format") == "safetensors" and is_e4e != (method == "e4e"):  # a file of ours, with its metadata
        recorded = "e4e" if is_e4e else "psp"
        raise WeightsError(
            f"it is recorded as {recorded}, not {method}. Name no other method; or convert the official file again "
            f"with --method {method}."
        )
    return dataclasses.replace(found, config={**found.config, "row_deltas": method == "e4e"})


def check_fits(found: Recognised, generator: Generator) -> None:
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


@contextmanager
def named(path: str | Path) -> Iterator[None]:
    """Puts the file's name before the errors of the block, where it is not there yet."""
    try:
        yield
    except WeightsError as error:
        if str(path) in str(error):
            raise
        raise WeightsError(f"{path}: {error}") from error
    except MemoryError as error:
        raise WeightsError(f"{path}: there is not enough memory to load it. Close other programs.") from error
    except SIZE_ERRORS as error:
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


def _built(found: Recognised, generator: Generator | None = None) -> BuiltNetwork:
    """The network of a recognised file."""
    fingerprint = found.facts.get("generator", "")
    return build_method(found.kind, found.config, found.tensors, generator=generator, generator_fingerprint=fingerprint)


def _load(path: str | Path, kind: str, network_class: type[_Network]) -> _Network:
    """A network that needs no generator."""
    with named(path):
        network = _built(_of_kind(Path(path), kind))
    if not isinstance(network, network_class):
        raise WeightsError(f"{path} holds a {type(network).__name__}, not a {network_class.__name__}.")
    return network


def _save(tensors: dict[str, Tensor], metadata: dict[str, str], path: Path, facts: dict[str, Any]) -> None:
    half = {n: (t.half() if t.is_floating_point() else t).detach().cpu().contiguous() for n, t in tensors.items()}
    metadata = metadata | {name: json.dumps(value) for name, value in facts.items()}
    with atomic_write(path) as temporary:
        save_file(half, temporary, metadata)
