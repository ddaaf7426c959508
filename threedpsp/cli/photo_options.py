"""Options of the commands that turn photos into heads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..errors import InputError
from .command import ModelCommand
from .option_types import Count, Degrees, MaybePath, On, OutputPath, Pixels, Seconds

if TYPE_CHECKING:
    from ..encoder.refine import RefineConfig
    from ..results import VideoOptions

PathName = Literal["swing", "orbit", "ellipse", "dolly"]
MethodName = Literal["3dpsp", "psp", "e4e", "triplanenet-v1", "triplanenet-v2", "pti"]
PoseName = Literal["mediapipe", "deep3d"]
ConfidenceSource = Literal["builtin", "unsup3d"]
Likeness = Literal["auto", "instant", "none"]


@dataclass(frozen=True)
class Video:
    """The turntable."""

    path: PathName = "swing"
    """swing: left and right, through the photo's camera; orbit: all the way round;
    ellipse: round the front of the face; dolly: from far to near at constant size."""
    frames: Count = 48
    """Number of frames."""
    fps: Annotated[float, tyro.conf.arg(metavar="RATE")] = 24.0
    """Frames per second."""
    yaw: Degrees = 30.0
    """How far swing and ellipse turn to each side."""
    pitch: Degrees = 12.0
    """How far ellipse goes up and down."""
    size: Pixels = 512
    """Side of the video; the model's own pictures are enlarged to it, never shrunk."""

    def options(self) -> VideoOptions:
        """The core's form of the same."""
        from ..results import VideoOptions

        return VideoOptions(self.path, self.frames, self.fps, self.yaw, self.pitch, self.size)


@dataclass(frozen=True)
class CropOptions:
    """Where what belongs to a crop comes from; options of demo, invert and prepare."""

    pose: PoseName = "mediapipe"
    """Where the camera comes from: MediaPipe's landmarks, or Deep3DFaceRecon's network as in published data."""
    deep3d_weights: MaybePath = None
    """The file of Deep3DFaceRecon's network; by default epoch_20.pth in the search path."""
    conf_map: ConfidenceSource = "builtin"
    """Where the uncertainty of the flip comes from: our own estimate, or unsup3d's network,
    as in published data (checkpoint030.pth in the search path)."""


@dataclass(frozen=True)
class PhotoCommand(CropOptions, ModelCommand):
    """Options of demo and invert."""

    output: OutputPath = Path("output")
    """Folder for the results; every photo gets a folder of its name in it."""
    method: Annotated[
        MethodName | None,
        tyro.conf.arg(metavar="{3dpsp,psp,e4e,triplanenet-v1,triplanenet-v2,pti}", help_behavior_hint=""),
    ] = None
    """The system that finds the head; by default what the encoder's file holds.
    pti needs no encoder, but takes minutes."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Steps of the system; by default its own number (3dpsp 5, psp and e4e 1, triplanenet 2, pti 800)."""
    likeness: Likeness = "auto"
    """What follows the system where the head is not refined: instant, a handful of updates that show the person;
    none, nothing, as published; auto, instant for generators of at most 256 pixels (about two seconds)."""
    refine: On = True
    """Refine the head after the system."""
    refine_steps: Count = 40
    """Updates of refining; 5 make a likeness, more make it closer."""
    refine_seconds: Seconds = 60.0
    """Refining ends after this time, even if updates are left; 5 are made in any case."""
    tune: Annotated[Literal["pti"] | None, tyro.conf.arg(metavar="{pti}", help_behavior_hint="")] = None
    """Afterwards tune the generator's weights to the photo: pti, pivotal tuning, as published.
    With --no-refine it follows the system directly (unless --likeness instant is given)."""
    tune_steps: Count = 350
    """Steps of --tune, at most; it ends when the picture is close enough."""
    video: Video = field(default_factory=Video)

    def check(self) -> None:
        """Finds impossible options before any work.

        Raises:
            InputError: an impossible number of steps.
        """
        if self.tune is not None and self.tune_steps < 1:
            raise InputError(f"--tune-steps must be at least 1; got {self.tune_steps}.")

    def processing(self) -> dict[str, Any]:
        """What `photo_to_results` takes from these options."""
        return {
            "steps": self.steps,
            "likeness": self.likeness,
            "seed": self.seed,
            "pose": self.pose,
            "deep3d_weights": self.deep3d_weights,
            "conf_map": self.conf_map,
            "weights_dirs": self.weights_dirs,
            "refine": self.refine_config(),
            "tune_steps": 0 if self.tune is None else self.tune_steps,
            "video": self.video.options(),
            "on_progress": self.progress(),
        }

    def refine_config(self) -> RefineConfig | bool:
        """The core's form of the refine options."""
        if not self.refine:
            return False
        from ..encoder.refine import RefineConfig

        return RefineConfig(steps=self.refine_steps, seconds=self.refine_seconds, seed=self.seed)

    def summary(self, folder: Path, report: dict[str, Any]) -> str:
        """A few lines about one photo's result."""
        figures = report["quality"].get("result", {})
        parts = [f"PSNR {figures['psnr']:.1f} dB"] if "psnr" in figures else []
        if "identity_distance" in figures:
            parts.append(f"identity distance {figures['identity_distance']:.2f} (below 0.6: same person)")
        lines = [f"{report['photo']}: {', '.join(parts)}; {report['seconds_in_all']:.0f} s"]
        info = report["info"]
        notes = list(report["notes"])
        if refined := info.get("refine"):
            lines.append(f"  refined: {refined['steps']} updates in {refined['seconds']:.0f} s")
            notes += refined["notes"]
        elif likeness := info.get("likeness"):
            lines.append(f"  first likeness: {likeness['updates']} updates in {likeness['seconds']:.0f} s")
            notes += likeness["notes"]
        lines += [f"  note: {note}" for note in notes]
        lines += [f"  video: {folder / 'turntable.mp4'}", f"  sheet: {folder / 'sheet.png'}"]
        return "\n".join(lines)
