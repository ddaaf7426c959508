"""Official files -> our safetensors: the same numbers (float32), the configuration as JSON, nothing that could run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Literal

from ..eg3d.generator import Generator
from ..encoder.inversion import compute_latent_avg
from ..errors import InputError, WeightsError
from .load import check_fits, generator_from, load_generator, named, with_method
from .recognise import OUR_KINDS, Recognised, recognise
from .write import write_safetensors

EncoderMethod = Literal["psp", "e4e"]
_KIND_IN_FILE = {ours: name for name, ours in OUR_KINDS.items()}


def convert(
    path: str | Path,
    output: str | Path | None = None,
    *,
    generator: Generator | str | Path | None = None,
    method: EncoderMethod | None = None,
) -> Path:
    """Writes a weights file again as safetensors.

    Args:
        path: an official file (.pkl, .pt, .pth), or one of ours.
        output: where to; default: beside `path`, with the ending .safetensors. An existing file is replaced.
        generator: for encoders: the generator that it was trained for (itself, or its file). The encoder then remembers
            it, and is refused with any other.
        method: for encoders: "e4e" or "psp", where the file does not say which.

    Returns:
        `output`.

    Raises:
        WeightsError: the file cannot be read or used, or does not belong to the generator; nothing is written.
        OutputError: it cannot be written.
    """
    path = Path(path)
    target = path.with_suffix(".safetensors") if output is None else Path(output)
    if target.exists() and path.exists() and target.samefile(path):
        raise InputError(f"{path} would be replaced by itself. Choose another output.")
    if target.is_dir():
        raise InputError(f"{target} is a folder. Name the file to write: {target / path.stem}.safetensors, say.")
    found = recognise(path)
    with named(path):
        found.check()
        found = with_method(found, method)
        fingerprint = found.facts.get("generator", "")
        if found.kind in ("encoder", "triplanenet"):
            found, fingerprint = _bound(found, fingerprint, generator)
        elif found.kind == "eg3d-generator":
            fingerprint = generator_from(found).fingerprint
    metadata = {
        "kind": _KIND_IN_FILE.get(found.kind, found.kind),
        "config": json.dumps(found.config),
        "source": json.dumps({"what": found.what, **found.facts}),
    }
    if fingerprint:
        metadata["fingerprint" if found.kind == "eg3d-generator" else "generator"] = fingerprint
    write_safetensors(target, found.tensors, metadata)
    return target


def _bound(found: Recognised, own: str, generator: Generator | str | Path | None) -> tuple[Recognised, str]:
    """An encoder and the fingerprint of its generator; a mean latent that the file lacks is made here."""
    if generator is None:
        if "latent_avg" not in found.tensors:
            raise WeightsError("it has no latent_avg. Name its generator (generator=...), which can make it.")
        return found, own
    network = generator if isinstance(generator, Generator) else load_generator(generator, "cpu")
    check_fits(found, network)
    tensors = found.tensors
    if "latent_avg" not in tensors:
        tensors = {**tensors, "latent_avg": compute_latent_avg(network).cpu()}
    return dataclasses.replace(found, tensors=tensors), network.fingerprint
