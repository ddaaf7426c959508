"""A photo's folder of results: crop.png, sheet.png, turntable.mp4, latent.safetensors, report.json."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .camera import FACE_SPHERE, Camera, CameraSphere
from .encoder.first_likeness import Likeness
from .encoder.refine import RefineConfig
from .errors import MissingDependencyError
from .export.images import save_png, to_uint8
from .export.latent_file import save_inversion
from .export.sheet import inversion_sheet
from .export.video import write_video
from .metrics import identity_distance, psnr
from .output import atomic_folder, atomic_write
from .paths import PathName, camera_path, views
from .pipeline import Pipeline
from .preprocessing.photo import PhotoSource
from .preprocessing.prepare import FaceChoice
from .preprocessing.prepared_folder import PreparedPhoto
from .rendering import Progress
from .threads import as_many_threads_as_pay
from .types import FaceCrop, Inversion, Render
from .version import version
from .weights.systems import ConfidenceSource, PoseName

SHEET_YAWS = (-30.0, -15.0, 0.0, 15.0, 30.0)


@dataclass(frozen=True)
class VideoOptions:
    """What the turntable shows."""

    path: PathName = "swing"
    """Camera path."""
    frames: int = 48
    """Number of frames."""
    fps: float = 24.0
    """Frames per second."""
    yaw: float = 30.0
    """How far swing and ellipse turn to each side, degrees."""
    pitch: float = 12.0
    """How far ellipse goes up and down, degrees."""
    size: int = 512
    """Side of the video in pixels; the model's own pictures are enlarged to it, never shrunk."""

    def cameras(self, start: Camera, sphere: CameraSphere = FACE_SPHERE) -> Camera:
        """The path, starting at (or framed like) a photo's camera; sphere: the generator's."""
        return camera_path(self.path, self.frames, start, yaw_degrees=self.yaw, pitch_degrees=self.pitch, sphere=sphere)


def photo_to_results(
    pipeline: Pipeline,
    photo: PhotoSource | PreparedPhoto,
    folder: Path,
    *,
    name: str,
    face: FaceChoice = "largest",
    pose: PoseName = "mediapipe",
    deep3d_weights: Path | None = None,
    conf_map: ConfidenceSource = "builtin",
    weights_dirs: Sequence[Path] = (),
    steps: int | None = None,
    likeness: Likeness = "auto",
    seed: int = 0,
    refine: RefineConfig | bool = True,  # noqa: A002 - the word users know
    tune_steps: int = 0,
    video: VideoOptions | None = None,
    on_progress: Progress,
) -> dict[str, Any]:
    """Everything from a photo to its folder of results, which appears whole or not at all.

    pose, deep3d_weights, conf_map, weights_dirs: see `prepare`.
    likeness, seed: see `Pipeline.invert`; "auto" is also none where `tune` follows, as published.
    tune_steps: of `Pipeline.tune`, after refining; 0: none.

    Returns:
        What report.json holds.

    Raises:
        InputError, NoFaceError: the photo cannot be used.
        OutputError: the folder cannot be written.
    """
    started = time.perf_counter()
    video = video or VideoOptions()
    on_progress("prepare", 0, 1)
    crop = pipeline.prepare(
        photo, face=face, pose=pose, deep3d_weights=deep3d_weights, conf_map=conf_map, weights_dirs=weights_dirs
    )
    on_progress("prepare", 1, 1)
    seconds = {"prepare": time.perf_counter() - started}
    if refine or (tune_steps and likeness == "auto"):
        likeness = "none"
    inversion = pipeline.invert(crop, steps=steps, likeness=likeness, seed=seed, on_progress=on_progress)
    seconds["encode"] = time.perf_counter() - started - sum(seconds.values())
    if refine:
        inversion = pipeline.refine(inversion, crop, refine, on_progress=on_progress)
        seconds["refine"] = time.perf_counter() - started - sum(seconds.values())
    if tune_steps:
        inversion = pipeline.tune(inversion, crop, steps=tune_steps, on_progress=on_progress)
        seconds["tune"] = time.perf_counter() - started - sum(seconds.values())
    cameras = video.cameras(inversion.camera, pipeline.generator.config.camera_sphere)
    with atomic_folder(folder) as temporary:
        save_png(temporary / "crop.png", to_uint8(crop.image)[0])
        frames = pipeline.frames(inversion, cameras, side=video.size, on_progress=on_progress)
        write_video(temporary / "turntable.mp4", frames, video.fps)
        seconds["render"] = time.perf_counter() - started - sum(seconds.values())
        save_png(temporary / "sheet.png", inversion_sheet(crop, inversion, _sheet_views(pipeline, inversion)))
        save_inversion(temporary / "latent.safetensors", inversion)
        report = {
            "photo": name,
            "version": version(),
            "generator": pipeline.generator.fingerprint,
            "precision": pipeline.generator.precision.name,
            "notes": list(crop.notes),
            "photo_camera": _angles(crop.camera),
            "camera": _angles(inversion.camera),
            "quality": quality(crop, inversion),
            "video": {"frames": video.frames, "fps": video.fps, "path": video.path, "cameras": _track(cameras)},
            "info": inversion.info,
            "seconds": {stage: round(value, 2) for stage, value in seconds.items()},
            "seconds_in_all": round(time.perf_counter() - started, 2),
        }
        _write_json(temporary / "report.json", report)
    return report


def write_crop(folder: Path, crop: FaceCrop, name: str) -> dict[str, Any]:
    """A prepared photo's folder: crop.png, mirror_sigma.png (bright = the flip says little), report.json.

    Returns:
        What report.json holds; `label` has EG3D's 25 numbers.

    Raises:
        OutputError: the folder cannot be written.
    """
    report = {
        "photo": name,
        "version": version(),
        "notes": list(crop.notes),
        "camera": _angles(crop.camera),
        "label": crop.camera.label[0].tolist(),
        "source_to_crop": None if crop.source_to_crop is None else crop.source_to_crop[0].tolist(),
    }
    with atomic_folder(folder) as temporary:
        save_png(temporary / "crop.png", to_uint8(crop.image)[0])
        if crop.mirror_sigma is not None:
            on_photo = crop.mirror_sigma[:1, None].flip(3)  # FaceCrop holds it on the flipped photo
            shown = 2 * on_photo / on_photo.amax().clamp_min(1e-6) - 1
            save_png(temporary / "mirror_sigma.png", to_uint8(shown.expand(-1, 3, -1, -1))[0])
        _write_json(temporary / "report.json", report)
    return report


@torch.no_grad()
@as_many_threads_as_pay()
def quality(crop: FaceCrop, inversion: Inversion) -> dict[str, Any]:
    """How close steps and result are to the photo: PSNR (dB), and identity distance where that can be measured.

    Identity: L2 between embeddings of dlib's network; below .6 counts as one person.
    """
    pictures = {f"step {i}": image for i, (_, image) in enumerate(inversion.steps, 1)}
    if inversion.render is not None:
        pictures["result"] = inversion.render.image
    figures: dict[str, Any] = {}
    for name, picture in pictures.items():
        picture = picture.float().cpu()
        photo = torch.nn.functional.interpolate(
            crop.image.float().cpu(), size=picture.shape[-2:], mode="bilinear", antialias=True
        )
        figures[name] = {"psnr": round(psnr(picture.clamp(-1, 1), photo).item(), 2)}
        if crop.landmarks is not None:
            try:
                distance = identity_distance(crop.image.float().cpu(), picture, crop.landmarks.cpu())
            except MissingDependencyError as error:
                figures["identity_missing"] = str(error)
                continue
            figures[name]["identity_distance"] = round(distance.item(), 3)
    return figures


def _sheet_views(pipeline: Pipeline, inversion: Inversion) -> list[tuple[str, Render]]:
    """Captions and renders of other views."""
    cameras = views(SHEET_YAWS, inversion.camera, sphere=pipeline.generator.config.camera_sphere)
    renders = pipeline.render(inversion, cameras)
    return [(f"{yaw:+.0f} degrees", view) for yaw, view in zip(SHEET_YAWS, renders, strict=True)]


def _write_json(path: Path, value: dict[str, Any]) -> None:
    """A readable JSON file."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, default=str) + "\n", encoding="utf-8")


def _angles(camera: Camera) -> dict[str, float]:
    """Yaw and pitch of one camera, degrees."""
    return {
        "yaw_degrees": round(camera.yaw_degrees[0].item(), 2),
        "pitch_degrees": round(camera.pitch_degrees[0].item(), 2),
    }


def _track(cameras: Camera) -> dict[str, list[float]]:
    """Yaw and pitch of every frame, degrees."""
    return {
        "yaw_degrees": [round(v, 2) for v in cameras.yaw_degrees.tolist()],
        "pitch_degrees": [round(v, 2) for v in cameras.pitch_degrees.tolist()],
    }
