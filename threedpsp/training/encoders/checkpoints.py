"""Checkpoints on disk: folders that are there whole or not at all; the last few and the best are kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...errors import WeightsError
from ...output import atomic_folder
from ...weights.recognise import START, read_safetensors
from ...weights.write import write_safetensors
from .networks import Trained

FOLDER, BEST = "checkpoints", "best"
ENCODER_FILE, STATE_FILE = "encoder.safetensors", "training.safetensors"
_NAME = "step_"


def publish(network: Trained, path: Path, **facts: object) -> None:
    """The network alone, as `threedpsp invert --encoder` reads it: fp16 (float32 where fp16 would overflow).

    Args:
        network: in float32.
        path: the file.
        **facts: go into the metadata as JSON.

    Raises:
        OutputError: it cannot be written.
    """
    tensors, metadata = network.checkpoint()
    halved = {name: _half(tensor.detach().cpu()) for name, tensor in tensors.items()}
    write_safetensors(path, halved, metadata | {name: json.dumps(value) for name, value in facts.items()})


def save_checkpoint(
    output: Path, step: int, network: Trained, state: Mapping[str, Tensor], numbers: str, keep: int, **facts: object
) -> Path:
    """Write the checkpoint of a step, then remove the oldest beyond `keep`.

    Args:
        output: the training's folder.
        step: optimizer steps done.
        network: what is published.
        state: all tensors that resuming needs.
        numbers: everything else that it needs, as text.
        keep: how many checkpoints stay.
        **facts: for the published network's metadata.

    Raises:
        OutputError: it cannot be written; older checkpoints are untouched then.
    """
    folder = output / FOLDER / f"{_NAME}{step:08d}"
    folder.parent.mkdir(exist_ok=True)
    with atomic_folder(folder) as temporary:
        publish(network, temporary / ENCODER_FILE, step=step, **facts)
        write_safetensors(temporary / STATE_FILE, state, {"kind": "training", "numbers": numbers})
    for old in checkpoints(output)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def save_best(output: Path, network: Trained, **facts: object) -> Path:
    """Replace the best network.

    Raises:
        OutputError: it cannot be written.
    """
    path = output / BEST / ENCODER_FILE
    path.parent.mkdir(exist_ok=True)
    publish(network, path, **facts)
    return path


def checkpoints(output: Path) -> list[Path]:
    """Folders of checkpoints, oldest first."""
    folder = output / FOLDER
    return sorted(p for p in folder.glob(f"{_NAME}*") if p.is_dir() and (p / STATE_FILE).is_file())


def remove_unfinished(output: Path) -> None:
    """Remove what a killed run left half written."""
    for pattern in (f"{FOLDER}/.{_NAME}*", f"{BEST}/.*"):
        for left in output.glob(pattern):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def read_state(folder: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors and the text of a checkpoint.

    Raises:
        WeightsError: damaged, or none of ours.
    """
    path = folder / STATE_FILE
    try:
        with open(path, "rb") as file:
            start = file.read(START)
        tensors, metadata = read_safetensors(path, start)
    except (OSError, WeightsError) as error:
        raise WeightsError(
            f"The checkpoint {folder} cannot be read ({error}). Remove this folder to go on from the one before it."
        ) from error
    if metadata.get("kind") != "training" or "numbers" not in metadata:
        raise WeightsError(f"{path} is no state of a training.")
    return tensors, metadata["numbers"]


def _half(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor.contiguous()
    half = tensor.half()
    return (half if bool(torch.isfinite(half).all()) else tensor.float()).contiguous()
