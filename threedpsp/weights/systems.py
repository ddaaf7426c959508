"""From a system's name to the system: finds its file, loads it, and refuses a file of another system."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

from ..device import resolve_device
from ..eg3d.generator import Generator
from ..encoder.inversion import InversionNetwork
from ..encoder.methods import METHODS, MethodName
from ..encoder.pti import PivotalTuning
from ..errors import InputError, WeightsError
from ..metrics.arcface import WEIGHTS_FILE as ARCFACE_FILE
from ..metrics.arcface import ArcFaceIdentity
from ..packed_weights import with_packed_weights
from ..precision import Precision, PrecisionName, convolutions_in, resolve_precision
from ..preprocessing.confnet import WEIGHTS_FILE as CONFNET_FILE
from ..preprocessing.confnet import ConfNet
from ..preprocessing.deep3d import WEIGHTS_FILE as DEEP3D_FILE
from ..preprocessing.deep3d import Deep3D
from .load import load_arcface, load_confnet, load_deep3d, load_inverter
from .load import load_generator as read_generator
from .search import find_encoder, find_weights

PoseName = Literal["mediapipe", "deep3d"]
ConfidenceSource = Literal["builtin", "unsup3d"]
IdentityName = Literal["dlib", "arcface"]


def load_generator(
    name: str | Path = "tiny",
    *,
    device: str | torch.device | None = None,
    precision: PrecisionName | Precision = "auto",
    weights_dirs: Sequence[str | Path] = (),
) -> Generator:
    """A generator in eval mode, frozen: all that it takes to render a saved head.

    Args:
        name: "tiny", a name of the catalogue, or a file, as in `find_weights`.
        device: default: CUDA if there, else MPS, else CPU.
        precision: in which types networks compute (see `resolve_precision`).
        weights_dirs: folders that are searched first.

    Raises:
        WeightsError: the file is missing or damaged.
        InputError: this machine has no such device, or the device does not do that precision.
    """
    where = resolve_device(device)
    types = resolve_precision(precision, where)
    return read_generator(find_weights(name, weights_dirs), where, types)


def load_system(
    generator: Generator,
    name: str | Path,
    *,
    encoder: str | Path | None = None,
    method: MethodName | None = None,
    weights_dirs: Sequence[str | Path] = (),
) -> InversionNetwork:
    """What turns photos into heads with a generator, in the precision of that generator.

    Args:
        generator: loaded, by `name`.
        name: as in `find_weights`.
        encoder: the system's file, as in `find_weights`; default: what goes with generator and method.
        method: the system wanted; default: whatever the file holds.
        weights_dirs: folders that are searched first.

    Raises:
        InputError: there is no system of that name.
        WeightsError: its file is missing (the message says which), damaged, holds another system, or belongs to another
            generator.
    """
    check_name(method)
    if method == "pti":
        return PivotalTuning(generator)
    path = find_system(name, encoder, method, weights_dirs)
    # pSp and e4e are the same tensors, read in two ways
    network = load_inverter(path, generator, method=method if method in ("psp", "e4e") else None)
    if method is not None and network.method != method:
        raise WeightsError(
            f"{path} holds {METHODS[network.method].title}, not {METHODS[method].title}. {_needs(method)} "
            f"Or choose --method {network.method} (method=...)."
        )
    return with_packed_weights(convolutions_in(network, generator.precision.networks))


def find_system(
    name: str | Path, encoder: str | Path | None, method: MethodName | None, weights_dirs: Sequence[str | Path] = ()
) -> Path:
    """The file of a system, or the folder that has it.

    In order: what `encoder` means; `<method>.safetensors` in the generator's folder; for 3dpsp the encoder that goes
    with the generator; the catalogue and the search path.

    Raises:
        WeightsError: nothing there; the message says which file is needed.
    """
    if encoder is not None or method is None:
        return find_encoder(name, encoder, weights_dirs)
    base = find_weights(name, weights_dirs)
    beside = (base if base.is_dir() else base.parent) / f"{method}.safetensors"
    if beside.is_file():
        return beside
    if method == "3dpsp":
        return find_encoder(name, None, weights_dirs)
    reason = ""
    for wanted in METHODS[method].weights:
        try:
            return find_weights(wanted, weights_dirs)
        except WeightsError as error:
            reason = reason or str(error)
    raise WeightsError(f"{_needs(method)} {reason}")


def check_method(network: InversionNetwork, method: MethodName | None) -> None:
    """Refuse to go on with another system than the one asked for.

    Raises:
        InputError: there is no system of that name.
        WeightsError: another system is loaded; the message says which file is needed.
    """
    check_name(method)
    if method is not None and network.method != method:
        raise WeightsError(
            f"This pipeline holds {METHODS[network.method].title}, not {METHODS[method].title}. {_needs(method)} "
            f"Load it with load(..., method='{method}')."
        )


def check_name(method: str | None) -> None:
    """Refuse a name that is no system's.

    Raises:
        InputError: it is not.
    """
    if method is not None and method not in METHODS:
        raise InputError(f"There is no method {method!r}; there are: {', '.join(METHODS)}.")


def pose_network(
    pose: PoseName, deep3d_weights: str | Path | None = None, weights_dirs: Sequence[str | Path] = ()
) -> Deep3D | None:
    """Deep3D's network if the camera is to come from it, None if it is to come from MediaPipe's landmarks.

    Args:
        pose: "mediapipe" or "deep3d".
        deep3d_weights: its file; default: `epoch_20.pth` in the search path.
        weights_dirs: folders that are searched first.

    Raises:
        InputError: no such pose backend.
        WeightsError: the file is missing (the message says which), damaged, or holds another network.
    """
    if pose not in ("mediapipe", "deep3d"):
        raise InputError(f"The camera comes from 'mediapipe' or 'deep3d'; got {pose!r}.")
    if pose == "mediapipe":
        return None
    try:
        path = find_weights("deep3d" if deep3d_weights is None else deep3d_weights, weights_dirs)
    except WeightsError as error:
        raise WeightsError(
            f"--pose deep3d needs Deep3DFaceRecon's network, {DEEP3D_FILE} (--deep3d-weights FILE). {error}"
        ) from error
    return _shared_deep3d(path.resolve(), path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _shared_deep3d(path: Path, changed: int) -> Deep3D:
    """Loaded once for many photos, again when the file's time of change is another."""
    return load_deep3d(path)


def confidence_network(
    source: ConfidenceSource, weights_dirs: Sequence[str | Path] = (), confnet_weights: str | Path | None = None
) -> ConfNet | Literal["builtin"]:
    """unsup3d's network if the uncertainty of the flip is to come from it; else the name of our own estimate.

    Args:
        source: "builtin" or "unsup3d".
        weights_dirs: folders that are searched first.
        confnet_weights: the network's file; default: `checkpoint030.pth` in the search path.

    Raises:
        InputError: no such source.
        WeightsError: the file is missing (the message says which), damaged, or holds another network.
    """
    if source not in ("builtin", "unsup3d"):
        raise InputError(f"The uncertainty of the flip comes from 'builtin' or 'unsup3d'; got {source!r}.")
    if source == "builtin":
        return "builtin"
    try:
        path = find_weights("confnet" if confnet_weights is None else confnet_weights, weights_dirs)
    except WeightsError as error:
        raise WeightsError(f"The published uncertainty needs unsup3d's ConfNet, {CONFNET_FILE}. {error}") from error
    return _shared_confnet(path.resolve(), path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _shared_confnet(path: Path, changed: int) -> ConfNet:
    """Loaded once for many photos, again when the file's time of change is another."""
    return load_confnet(path)


def identity_network(
    identity: IdentityName, weights_dirs: Sequence[str | Path] = (), arcface_weights: str | Path | None = None
) -> ArcFaceIdentity | None:
    """ArcFace's network if identity is to be measured with it, None if with dlib's, which comes with a package.

    Args:
        identity: "dlib" or "arcface".
        weights_dirs: folders that are searched first.
        arcface_weights: the network's file; default: `model_ir_se50.pth` in the search path.

    Raises:
        InputError: no such measure.
        WeightsError: the file is missing (the message says which), damaged, or holds another network.
    """
    if identity not in ("dlib", "arcface"):
        raise InputError(f"Identity is measured with 'dlib' or 'arcface'; got {identity!r}.")
    if identity == "dlib":
        return None
    try:
        path = find_weights("arcface" if arcface_weights is None else arcface_weights, weights_dirs)
    except WeightsError as error:
        raise WeightsError(f"Identity by ArcFace needs its network, {ARCFACE_FILE}. {error}") from error
    return load_arcface(path)


def _needs(method: str) -> str:
    names = " or ".join(METHODS[method].weights)
    return (
        f"The method {method} ({METHODS[method].title}) needs its weights: {names}; --encoder FILE names another file."
    )
