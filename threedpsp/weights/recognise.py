"""Says what a weights file is, whatever its format, without running anything in it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import stat
import struct
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..eg3d.config import GeneratorConfig
from ..eg3d.generator import Generator
from ..encoder.config import EncoderConfig
from ..encoder.encoder import Encoder
from ..encoder.triplanenet import TriPlaneNet, TriPlaneNetConfig
from ..errors import ThreeDPSPError, WeightsError
from .eg3d_file import recognise_eg3d
from .limits import SIZE_ERRORS, config_from_file, plain_settings, printable
from .recognised import Recognised, shapes_of, usable
from .torch_file import LEGACY_START, ZIP_START, read_torch
from .torch_state import recognise_state

__all__ = ["Recognised", "recognise", "sha256_of"]

MAX_HEADER = 16 << 20  # bytes of a safetensors file's JSON
MAX_FILE = 8 << 30  # bytes; the largest published one, with its optimizers, has 3 GB
MAX_DIGEST_ANYWAY = 1 << 30  # bytes; of a file that cannot be used, a longer digest is not worth the wait
MAX_TENSORS = 20_000  # in a safetensors file; the largest network here has 1,000
START = 16  # bytes that tell the formats apart
OUR_KINDS = {"generator": "eg3d-generator"}
"""Kinds in our files' metadata that `recognise` calls otherwise."""


def recognise(path: str | Path, *, digest: bool = True) -> Recognised:
    """What a .pkl, .pt, .pth or .safetensors file is, with its tensors.

    Files that are recognised but not fit for use come back with `problems`; see `Recognised.check`.

    Args:
        path: the file; its content decides, not its name (except that a .safetensors must be one).
        digest: also note the file's sha256, which takes a second or so for every gigabyte.

    Raises:
        WeightsError: no such file, damaged, hostile, or nothing this program knows; names the file and the cause.
    """
    path = Path(path)
    try:
        _check_regular(path)
        found = _recognised(path)
        facts = {name: printable(value) for name, value in {"file": path.name, **found.facts}.items()}
        if digest and (not found.problems or path.stat().st_size <= MAX_DIGEST_ANYWAY):
            facts["sha256"] = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path}: it cannot be read ({printable(error.strerror or error)}).") from error
    except MemoryError as error:
        raise WeightsError(f"{path}: there is not enough memory to read it. Close other programs.") from error
    except (ThreeDPSPError, RecursionError) as error:
        raise WeightsError(f"{path}: {printable(error)}") from error
    except SIZE_ERRORS as error:  # shapes that no network has
        raise WeightsError(
            f"{path}: it is damaged, or no network has its sizes ({printable(str(error)[:200])})."
        ) from error
    problems = [printable(problem) for problem in found.problems]
    return dataclasses.replace(found, facts=facts, problems=problems, path=str(path))


def sha256_of(path: Path) -> str:
    """The file's sha256 in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _check_regular(path: Path) -> None:
    """An ordinary file with something in it (not a folder, a pipe or a device)."""
    if "\0" in str(path):
        raise WeightsError("there is a zero in it, so that it is no name of a file.")
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise WeightsError("it is a folder; give the file in it.")
    if not stat.S_ISREG(mode):
        raise WeightsError("it is not an ordinary file.")
    size = path.stat().st_size
    if size == 0:
        raise WeightsError("it is empty. Copy or download it again.")
    if size > MAX_FILE:
        raise WeightsError(f"it has {size:,} bytes; no weights file has more than {MAX_FILE:,}.")


def _recognised(path: Path) -> Recognised:
    """By the first bytes."""
    with open(path, "rb") as file:
        start = file.read(START)
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        return _recognise_safetensors(path, start)
    if start.startswith((ZIP_START, LEGACY_START)):
        found = recognise_state(read_torch(path), path.stat().st_size)
        return dataclasses.replace(found, facts={"format": "torch", **found.facts})
    if start[0] == 0x80:
        return recognise_eg3d(path)
    raise WeightsError(f"it is none of the formats that weights come in (it begins with {start[:4]!r}).")


def _recognise_safetensors(path: Path, start: bytes) -> Recognised:
    """A file of ours, by its metadata; others by their names."""
    tensors, metadata = read_safetensors(path, start)
    kind, size = metadata.get("kind", ""), path.stat().st_size
    if kind in OUR_KINDS or (kind and "config" in metadata):
        return _ours(OUR_KINDS.get(kind, kind), tensors, metadata, size)
    return recognise_state(tensors, size)


def read_safetensors(path: Path, start: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors as stored, and metadata.

    Raises:
        WeightsError: not safetensors, or damaged; the message does not name the file.
    """
    if start[0] == 0x80 and start[8:9] != b"{" or start.startswith(ZIP_START):
        raise WeightsError("it is not a readable safetensors file, but a pickle of that name. Do not trust it.")
    header = struct.unpack("<Q", start[:8].ljust(8, b"\xff"))[0]
    if header > min(MAX_HEADER, path.stat().st_size):
        raise WeightsError(f"it is not a readable safetensors file: it claims a header of {header:,} bytes.")
    try:
        with safe_open(path, "pt") as file:
            names = file.keys()
            if len(names) > MAX_TENSORS:
                raise WeightsError(f"it has {len(names):,} tensors; no network has more than {MAX_TENSORS:,}.")
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError, AttributeError) as error:
        raise WeightsError(f"it is not a readable safetensors file ({error}). Copy or download it again.") from error


def _ours(kind: str, tensors: dict[str, Tensor], metadata: dict[str, str], file_size: int) -> Recognised:
    """A file that this program wrote."""
    config = _json_dict(metadata.get("config", "{}"))
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    if kind == "eg3d-generator":
        generator = config_from_file(lambda: GeneratorConfig.from_dict(config), GeneratorConfig())
        what, expected = "a generator of ours", shapes_of(lambda: Generator(generator))
    elif kind == "encoder":
        encoder = config_from_file(lambda: EncoderConfig.from_dict(config), EncoderConfig())
        what = "an encoder of ours"
        expected = shapes_of(lambda: Encoder(encoder)) | {"latent_avg": (1, encoder.num_ws, encoder.w_dim)}
    elif kind == "triplanenet":
        network = config_from_file(lambda: TriPlaneNetConfig.from_dict(config), TriPlaneNetConfig())
        what = "a TriPlaneNet of ours"
        start = (1, network.encoder.num_ws, network.encoder.w_dim)
        expected = shapes_of(lambda: TriPlaneNet(network)) | {"latent_avg": start}
    else:
        found = recognise_state(tensors, file_size)
        if found.kind != kind:
            raise WeightsError(f"its metadata call it {kind[:40]!r}, but it holds {found.what}.")
        return dataclasses.replace(found, facts=_facts(metadata))
    usable_tensors, problems = usable(expected, shapes, lambda name: tensors[name], file_size)
    return Recognised(kind, what, usable_tensors, config, _facts(metadata), problems)


def _facts(metadata: dict[str, str]) -> dict[str, str]:
    return {"format": "safetensors", **{k: v for k, v in metadata.items() if k not in ("kind", "config")}}


def _json_dict(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError("its configuration is not JSON; it is damaged.") from error
    if not isinstance(value, dict):
        raise WeightsError("its configuration is not a set of names and values; it is damaged.")
    return plain_settings(value, "settings")
