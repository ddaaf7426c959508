"""Weights files -> generators and encoders. A file holds tensors and plain-text metadata; nothing in it is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..device import resolve_device
from ..eg3d.config import GeneratorConfig
from ..eg3d.generator import Generator
from ..encoder.encoder import Encoder, encoder_from_checkpoint
from ..encoder.inversion import check_belongs
from ..errors import InputError, WeightsError
from ..output import atomic_write

EMBEDDED = {"tiny": Path(__file__).resolve().parent / "tiny"}
"""Names that need no file: models inside this package."""


def weights_path(name: str | Path, part: str) -> Path:
    """The file of a model's part ("generator" or "encoder"): embedded by name, a folder with both, or the file itself.

    Raises:
        WeightsError: there is no such file; the message lists the names that come with the package.
    """
    base = EMBEDDED.get(str(name), Path(name))
    path = base / f"{part}.safetensors" if base.is_dir() else base
    if not path.is_file():
        raise WeightsError(
            f"No {part} at {path}. Give a .safetensors file, a folder with {part}.safetensors, "
            f"or one of: {', '.join(EMBEDDED)}."
        )
    return path


def read_checkpoint(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (floating ones as float32) and metadata of a file of ours.

    Raises:
        WeightsError: not safetensors, damaged, or another kind of file.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file ({error}). Copy it again.") from error
    if metadata.get("kind") != kind:
        raise WeightsError(f"{path} holds {metadata.get('kind', 'no known kind of weights')!r}, not a {kind}.")
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}, metadata


def load_generator(name: str | Path = "tiny", device: str | torch.device | None = None) -> Generator:
    """A generator in eval mode, frozen.

    Args:
        name: "tiny", a file, or a folder with generator.safetensors.
        device: default: CUDA if there, else MPS, else CPU.

    Raises:
        WeightsError: the file is missing, damaged, or does not fit its own config.
    """
    path = weights_path(name, "generator")
    tensors, metadata = read_checkpoint(path, "generator")
    try:
        generator = Generator(GeneratorConfig.from_dict(json.loads(metadata["config"])))
        generator.load_state_dict(tensors)
    except (KeyError, RuntimeError, ValueError, InputError) as error:
        raise WeightsError(f"{path} does not fit its own config: {error}") from error
    return generator.eval().requires_grad_(False).to(resolve_device(device))


def load_encoder(name: str | Path, generator: Generator) -> Encoder:
    """An encoder in eval mode, frozen, on the generator's device.

    Args:
        name: "tiny", a file, or a folder with encoder.safetensors.
        generator: the one it must belong to.

    Raises:
        WeightsError: the file is missing or damaged, or the encoder belongs to another generator.
    """
    tensors, metadata = read_checkpoint(weights_path(name, "encoder"), "encoder")
    encoder = encoder_from_checkpoint(tensors, metadata)
    check_belongs(encoder, generator)
    return encoder.requires_grad_(False).to(generator.device)


def save_generator(generator: Generator, path: Path, **facts: Any) -> None:
    """The generator as fp16 safetensors with its config; `facts` go into the metadata as JSON."""
    metadata = {"kind": "generator", "config": json.dumps(generator.config.to_dict())}
    _save(generator.state_dict(), metadata, path, facts)


def save_encoder(encoder: Encoder, path: Path, **facts: Any) -> None:
    """The encoder as fp16 safetensors with its config and its generator's fingerprint."""
    tensors, metadata = encoder.checkpoint()
    _save(tensors, metadata, path, facts)


def _save(tensors: dict[str, Tensor], metadata: dict[str, str], path: Path, facts: dict[str, Any]) -> None:
    half = {n: (t.half() if t.is_floating_point() else t).detach().cpu().contiguous() for n, t in tensors.items()}
    metadata = metadata | {name: json.dumps(value) for name, value in facts.items()}
    with atomic_write(path) as temporary:
        save_file(half, temporary, metadata)
