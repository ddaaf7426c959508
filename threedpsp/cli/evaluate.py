"""`threedpsp evaluate`: how close heads come to their photos."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ..errors import InputError
from ..output import atomic_write, output_dir
from .command import ModelCommand

if TYPE_CHECKING:
    from ..evaluation.protocol import PhotoScores

IdentityName = Literal["dlib", "arcface"]


@dataclass(frozen=True)
class Evaluate(ModelCommand):
    """Invert every photo of a folder and measure: PSNR, SSIM, ST-LPIPS, identity, and identity at other views.

    A folder with dataset.json is prepared already: its crops and cameras are measured as they are.
    The protocol (crop, sizes, networks, steps, seed) is printed with the figures.

    Example: threedpsp evaluate portraits/ --refine-seconds 40 -o evaluation
    """

    photos: Annotated[Path | None, tyro.conf.Positional] = None
    """A folder of photos, or a prepared one."""
    identity: IdentityName = "dlib"
    """What measures identity: dlib's network, which comes with a package; or ArcFace (model_ir_se50.pth in the search
    path), as 3DpSp does."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder for evaluation.json and evaluation.md; by default they are not written."""
    steps: int = 5
    """Steps of the encoder."""
    refine: bool = True
    """Also measure after refining."""
    refine_seconds: float = 40.0
    """Time for refining a photo, seconds."""
    novel_yaw: float = 20.0
    """The other views are turned by this much to either side, degrees."""
    limit: int = 0
    """Only the first so many photos; 0: all."""

    def run(self) -> int:
        """Measures; returns 0 only if every photo could be used."""
        if self.photos is None:
            raise InputError("No folder of photos given. Example: threedpsp evaluate portraits/")
        from ..encoder.refine import RefineConfig
        from ..evaluation.protocol import EvaluationConfig, evaluate, photos_of
        from ..weights.systems import identity_network

        photos_of(self.photos)
        arcface = identity_network(self.identity, self.weights_dirs)
        refine = RefineConfig(seconds=self.refine_seconds, seed=self.seed) if self.refine else None
        config = EvaluationConfig(self.steps, refine, self.novel_yaw, self.seed, self.limit)
        if self.output is None:
            report = evaluate(self.load(), self.photos, config, self._on_photo, arcface)
        else:
            with output_dir(self.output) as output:
                report = evaluate(self.load(), self.photos, config, self._on_photo, arcface)
                with atomic_write(output / "evaluation.json") as file:
                    file.write_text(json.dumps(report.to_dict(), indent=1) + "\n", encoding="utf-8")
                with atomic_write(output / "evaluation.md") as file:
                    file.write_text(report.to_markdown() + "\n", encoding="utf-8")
        failed = [photo for photo in report.photos if photo.error is not None]
        protocol = "\n".join(f"{name}: {value}" for name, value in report.protocol.items())
        counts = f"{len(report.photos) - len(failed)} photos measured, {len(failed)} failed"
        self.result(f"{protocol}\n\n{report.to_markdown()}\n\n{counts}", report.to_dict())
        return InputError.exit_code if failed else 0

    def _on_photo(self, done: int, total: int, scores: PhotoScores) -> None:
        if scores.error is not None:
            self.say(f"error: {scores.photo}: {scores.error}", always=True)
        else:
            identity = "identity" if self.identity == "dlib" else "identity_arcface"
            shown = [f"{stage}/{name}" for stage in ("encoder", "refined") for name in ("psnr", identity)]
            figures = ", ".join(f"{name} {scores.figures[name]:.2f}" for name in shown if name in scores.figures)
            self.say(f"[{done}/{total}] {scores.photo}: {figures}")
