"""One face photo in, a turning 3-D head out. Everything public is here; each name is imported at its first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .camera import Camera, CameraSphere
    from .eg3d.config import GeneratorConfig, RenderConfig
    from .encoder.blend import blend, one_person
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
    from .evaluation.compare import compare
    from .export.latent_file import load_inversion, save_inversion
    from .export.mesh_file import write_mesh
    from .export.overlay import pose_overlay
    from .export.video import write_video
    from .meshing import extract_mesh
    from .paths import camera_path, keyframes, parse_keyframes
    from .pipeline import Pipeline, load, prepare
    from .precision import resolve_precision
    from .rendering import render
    from .sampling import random_head
    from .setup_check import check_setup
    from .stages import align, confidence_heat, confidence_on_photo, estimate_confidence, estimate_pose
    from .training.encoders.config import TrainConfig
    from .training.encoders.run import train
    from .types import FaceCrop, Inversion, Mesh, Render, TriPlanes, WPlus
    from .viewer_camera import camera_from_viewer
    from .views import own_views, render_views
    from .weights.systems import load_generator

_HOMES = {
    "Camera": "camera",
    "CameraSphere": "camera",
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
    "TrainConfig": "training.encoders.config",
    "TriPlanes": "types",
    "WPlus": "types",
    "WeightsError": "errors",
    "align": "stages",
    "blend": "encoder.blend",
    "camera_from_viewer": "viewer_camera",
    "camera_path": "paths",
    "check_setup": "setup_check",
    "compare": "evaluation.compare",
    "confidence_heat": "stages",
    "confidence_on_photo": "stages",
    "estimate_confidence": "stages",
    "estimate_pose": "stages",
    "extract_mesh": "meshing",
    "keyframes": "paths",
    "load": "pipeline",
    "load_generator": "weights.systems",
    "load_inversion": "export.latent_file",
    "one_person": "encoder.blend",
    "own_views": "views",
    "parse_keyframes": "paths",
    "pose_overlay": "export.overlay",
    "prepare": "pipeline",
    "random_head": "sampling",
    "render": "rendering",
    "render_views": "views",
    "resolve_precision": "precision",
    "save_inversion": "export.latent_file",
    "train": "training.encoders.run",
    "write_mesh": "export.mesh_file",
    "write_video": "export.video",
}

__all__ = [
    "Camera",
    "CameraSphere",
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
    "TrainConfig",
    "TriPlanes",
    "WPlus",
    "WeightsError",
    "align",
    "blend",
    "camera_from_viewer",
    "camera_path",
    "check_setup",
    "compare",
    "confidence_heat",
    "confidence_on_photo",
    "estimate_confidence",
    "estimate_pose",
    "extract_mesh",
    "keyframes",
    "load",
    "load_generator",
    "load_inversion",
    "one_person",
    "own_views",
    "parse_keyframes",
    "pose_overlay",
    "prepare",
    "random_head",
    "render",
    "render_views",
    "resolve_precision",
    "save_inversion",
    "train",
    "write_mesh",
    "write_video",
]


def __getattr__(name: str) -> Any:
    """Imports a public name's module the first time the name is used."""
    if name == "__version__":
        from .version import version

        return version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return vars(import_module(f".{_HOMES[name]}", __name__))[name]


def __dir__() -> list[str]:
    return sorted(__all__)
