"""`threedpsp evaluate`: how close heads come to their photos; several systems in one table."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ..errors import InputError
from ..output import output_dir
from .command import ModelCommand
from .option_types import Count, Degrees, InputPath, MaybeOutputPath, MaybePath, On, Seconds, Switch

if TYPE_CHECKING:
    from ..evaluation.methods import LoadedMethod
    from ..evaluation.report import EvaluationReport, PhotoScores

IdentityName = Literal["dlib", "arcface"]
_SHOWN = ("psnr", "identity", "identity_arcface")


@dataclass(frozen=True)
class Evaluate(ModelCommand):
    """Measure how close heads come to their photos.

    Every photo of a folder is inverted and measured: pixels, looks, identity, other views, pose, depth, time, memory.
    Several methods make one table, with 95 % intervals and differences on the same photos. A folder with dataset.json
    (or a zip with one) is prepared already: its crops and cameras are measured as they are. The protocol (crop, sizes,
    networks, steps, seed) is printed with the figures; docs/evaluation.md explains every measure.
    """

    examples = (
        "threedpsp evaluate portraits/ --likeness --refine-steps 40 -o evaluation",
        "threedpsp evaluate portraits/ --methods 3dpsp,psp,e4e --json",
        "threedpsp evaluate portraits/ --methods mine=runs/0/encoder.safetensors+runs/1/encoder.safetensors,psp",
    )

    photos: InputPath = None
    """A folder of photos, or a prepared one."""
    data: MaybePath = None
    """The same, as an option."""
    methods: Annotated[str | None, tyro.conf.arg(metavar="NAME,...", help_behavior_hint="")] = None
    """What is compared, between commas; the others are compared with the first.
    Each is 3dpsp, psp, e4e, triplanenet-v1, triplanenet-v2, pti, or refine (the heads of the encoder refined);
    or a name in the list of 'threedpsp weights list'; or NAME=FILE, and NAME=FILE+FILE for the seeds of one method.
    If none is given, that is the encoder, before and after refining."""
    identity: IdentityName = "dlib"
    """What measures identity: the network of dlib, which comes with a package, or that of ArcFace,
    searched for as the file model_ir_se50.pth, as 3DpSp does."""
    output: MaybeOutputPath = None
    """Folder for evaluation.json, .csv, .md and the page evaluation.html; by default they are not written."""
    steps: Count = 5
    """Steps of the encoder, where it makes several: 3D-pSp. pSp and e4e make one."""
    refine: On = True
    """Without --methods: also measure after refining."""
    refine_all: Switch = False
    """With --methods: also measure each of them after refining."""
    refine_steps: Count = 40
    """Updates of refining a photo."""
    refine_seconds: Seconds = 600.0
    """Refining a photo ends after this time, even if updates are left; 5 are made in any case."""
    likeness: Switch = False
    """Also measure the first likeness (the handful of updates that follows a system by default), of every method."""
    novel_yaw: Degrees = 20.0
    """The measure novel_identity looks at views turned by this much to either side."""
    yaws: Annotated[tuple[float, ...], tyro.conf.arg(metavar="DEGREES ...")] = (15.0, 30.0, 45.0)
    """Identity is also measured at these angles, and pose and depth at those up to 30."""
    limit: Count = 0
    """Only the first so many photos; 0: all."""
    shown: Count = 60
    """The page shows the pictures of so many photos."""

    def run(self) -> int:
        """Measures; returns 0 only if every photo could be used."""
        folder = self.data if self.photos is None else self.photos
        if folder is None:
            raise InputError("No folder of photos given. Example: threedpsp evaluate portraits/")
        if self.data is not None and self.photos is not None and self.data != self.photos:
            raise InputError(f"Two folders given, {self.photos} and {self.data}. Give one.")
        from ..encoder.refine import RefineConfig
        from ..evaluation.methods import REFINE, parse_methods
        from ..evaluation.protocol import EvaluationConfig, evaluate, load_inception, photos_of
        from ..weights.systems import identity_network

        photos_of(folder)
        specs = parse_methods(self.methods) if self.methods is not None else ()
        refine_all = self.refine_all if specs else self.refine
        wanted = refine_all or any(spec.name == REFINE for spec in specs)
        refine = RefineConfig(steps=self.refine_steps, seconds=self.refine_seconds, seed=self.seed)
        config = EvaluationConfig(
            steps=self.steps,
            refine=refine if wanted else None,
            likeness=self.likeness,
            refine_all=refine_all,
            novel_yaw_degrees=self.novel_yaw,
            yaw_degrees=self.yaws,
            seed=self.seed,
            limit=self.limit,
            shown=self.shown if self.output is not None else 0,
        )
        arcface = identity_network(self.identity, self.weights_dirs)
        inception = load_inception(self.weights_dirs)
        with nullcontext() if self.output is None else output_dir(self.output) as output:
            with self.waiting("evaluate"):
                report = evaluate(self._methods(), folder, config, self._on_photo, arcface, inception)
            if output is not None:
                from ..evaluation.page import write_report

                write_report(report, output)
                self.say(f"{output / 'evaluation.html'} shows them.")
        return self._closing(report)

    def _methods(self) -> list[LoadedMethod]:
        """The networks of every row."""
        from ..evaluation.methods import LoadedMethod, load_method, parse_methods

        if self.methods is None:
            pipeline = self.load()
            file = self.encoder or "what goes with the generator"
            return [LoadedMethod(pipeline.encoder.method, (pipeline,), (file,))]
        import torch

        torch.manual_seed(self.seed)
        generator = self.load_generator()
        specs = parse_methods(self.methods)
        return [load_method(spec, generator, self.generator, self.encoder, self.weights_dirs) for spec in specs]

    def _closing(self, report: EvaluationReport) -> int:
        """Prints the result; the exit code says whether every photo could be used."""
        counts = f"{len(report.measured)} photos measured, {len(report.failed)} failed"
        self.result(f"{report.to_markdown()}\n\n{counts}", report.to_dict())
        return InputError.exit_code if report.failed else 0

    def _on_photo(self, done: int, total: int, rows: list[PhotoScores]) -> None:
        errors = {row.error: row.method for row in rows if row.error is not None}
        for error, method in errors.items():
            of_photo = all(row.error == error for row in rows)
            self.say(f"error: {rows[0].photo}: {'' if of_photo else f'{method}: '}{error}", always=True)
        parts = []
        for row in rows:
            shown = [
                f"{name} {value:.2f}"
                for name, value in row.figures.items()
                if name.partition("/")[2] in _SHOWN and math.isfinite(value)
            ]
            if shown:
                parts.append(f"{row.method}: {', '.join(shown)}")
        if parts:
            self.say(f"[{done}/{total}] {rows[0].photo}: {'; '.join(parts)}")
