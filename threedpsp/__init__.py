"""One face photo in, a turning 3-D head out. Everything public is here; each name is imported at its first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .camera import Camera
    from .eg3d.config import GeneratorConfig, RenderConfig
    from .encoder.config import EncoderConfig
    from .encoder.refine import RefineConfig
    from .errors import (
        InputError,
        MissingDependencyError,
        NoFaceError,
        OutputError,
        ThreeDPSPError,
        WeightsError,
    )
    from .export.latent_file import load_inversion, save_inversion
    from .export.video import write_video
    from .paths import camera_path, keyframes
    from .pipeline import Pipeline, load, prepare
    from .rendering import render
    from .types import FaceCrop, Inversion, Mesh, Render, TriPlanes, WPlus
    from .weights.systems import load_generator

_HOMES = {
    "Camera": "camera",
    "EncoderConfig": "encoder.config",
    "FaceCrop": "types",
    "GeneratorConfig": "eg3d.config",
    "InputError": "errors",
    "Inversion": "types",
    "Mesh": "types",
    "MissingDependencyError": "errors",
    "NoFaceError": "errors",
    "OutputError": "errors",
    "Pipeline": "pipeline",
    "RefineConfig": "encoder.refine",
    "Render": "types",
    "RenderConfig": "eg3d.config",
    "ThreeDPSPError": "errors",
    "TriPlanes": "types",
    "WPlus": "types",
    "WeightsError": "errors",
    "camera_path": "paths",
    "keyframes": "paths",
    "load": "pipeline",
    "load_generator": "weights.systems",
    "load_inversion": "export.latent_file",
    "prepare": "pipeline",
    "render": "rendering",
    "save_inversion": "export.latent_file",
    "write_video": "export.video",
}

__all__ = [
    "Camera",
    "EncoderConfig",
    "FaceCrop",
    "GeneratorConfig",
    "InputError",
    "Inversion",
    "Mesh",
    "MissingDependencyError",
    "NoFaceError",
    "OutputError",
    "Pipeline",
    "RefineConfig",
    "Render",
    "RenderConfig",
    "ThreeDPSPError",
    "TriPlanes",
    "WPlus",
    "WeightsError",
    "camera_path",
    "keyframes",
    "load",
    "load_generator",
    "load_inversion",
    "prepare",
    "render",
    "save_inversion",
    "write_video",
]


def __getattr__(name: str) -> Any:
    """Imports a public name's module the first time the name is used."""
    if name == "__version__":
        return importlib.import_module(".version", __name__).version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
