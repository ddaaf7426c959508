"""How systems are measured: every photo with every method, at the photo's view and beside it.

The crop is compared whole, at the model's own side. Figures are called stage/measure, where the stage is "encoder"
(what the system makes), "likeness" (after the first likeness) or "refined"; `measures` says what each is. Crops of a
folder that is prepared already are measured as they are, with their own cameras. Networks whose files are absent are
left out, and the protocol says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..encoder.first_likeness import first_likeness
from ..encoder.inversion import resize_photo, step_count
from ..encoder.refine import RefineConfig, updates_made
from ..encoder.refine_config import HANDFUL
from ..errors import InputError, ThreeDPSPError
from ..metrics.arcface import ArcFaceIdentity
from ..metrics.inception import Inception
from ..pipeline import Pipeline
from ..preprocessing.prepared_folder import PreparedPhoto
from ..types import FaceCrop, Inversion
from ..version import version
from ..weights.catalogue import entry_named
from ..weights.search import locate
from .memory import PeakMemory
from .methods import LoadedMethod, steps_of
from .photos import ALIGNED, AS_THEY_ARE, crop_of, photos_of
from .report import EvaluationReport, PhotoScores, ReportedMethod
from .scoring import GEOMETRY_YAW, Scorer
from .statistics import RESAMPLES

__all__ = ["EvaluationConfig", "EvaluationReport", "Evaluator", "PhotoScores", "evaluate", "photos_of"]

LARGEST_YAW = 90.0


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured."""

    steps: int = 5
    """Encoder steps of 3D-pSp; pSp and e4e make one, other systems their own number."""
    refine: RefineConfig | None = None
    """None: no refining, except for the method "refine"."""
    refine_all: bool = True
    """Refine the heads of every method, if `refine` is given; else only those of the method "refine"."""
    likeness: bool = False
    """Also measure the heads of every method after the first likeness."""
    novel_yaw_degrees: float = 20.0
    """`novel_identity` is measured at this yaw to either side, pitch 0."""
    yaw_degrees: tuple[float, ...] = (15.0, 30.0, 45.0)
    """So are identity at each of these angles, and pose and depth at those up to 30 degrees."""
    seed: int = 0
    """Of refining, and of the intervals."""
    limit: int = 0
    """Only the first so many photos; 0 = all."""
    shown: int = 60
    """Pictures of so many photos are kept for the page."""

    def __post_init__(self) -> None:
        for yaw in (self.novel_yaw_degrees, *self.yaw_degrees):
            if not 0 < abs(yaw) < LARGEST_YAW:
                raise InputError(f"Other views are turned by more than 0 and less than 90 degrees; got {yaw:g}.")
        if self.limit < 0 or self.shown < 0:
            raise InputError(f"Numbers of photos must not be negative; got {min(self.limit, self.shown)}.")


class Evaluator:
    """The compared methods and the networks that measure them."""

    def __init__(
        self,
        methods: Sequence[LoadedMethod],
        config: EvaluationConfig,
        arcface: ArcFaceIdentity | None = None,
        inception: Inception | None = None,
    ) -> None:
        """All methods with one generator. `arcface` measures identity (default: dlib's network), `inception` FID.

        Raises:
            InputError: no method, or the method "refine" without settings.
        """
        if not methods:
            raise InputError("There is no method to measure.")
        if config.refine is None and any(method.refine for method in methods):
            raise InputError("The method 'refine' needs its settings (RefineConfig).")
        self.methods = tuple(methods)
        self.config = config
        self.generator = methods[0].pipelines[0].generator
        yaws, novel_yaw = config.yaw_degrees, config.novel_yaw_degrees
        self.scorer = Scorer(self.generator.device, yaws, novel_yaw, arcface, inception)
        self.memory = PeakMemory(self.generator.device)

    def protocol(self, prepared: bool = False) -> dict[str, Any]:
        """The protocol as data; `prepared`: the crops come from a prepared folder."""
        side = self.generator.config.img_resolution
        refine, identity = self.config.refine, self.scorer.identity
        inception = "" if self.scorer.inception is None else "fid, kid: pytorch-fid's Inception, pool features"
        turned = ", ".join(f"{yaw:g}" for yaw in self.scorer.yaws)
        return {
            "generator": self.generator.fingerprint,
            "precision": f"heads and renders: {self.generator.precision.name}; measures: float32",
            "crop": f"{AS_THEY_ARE if prepared else ALIGNED}, whole crop, area-resized to {side}",
            "metrics": f"PSNR, SSIM (11x11 Gaussian), {', '.join((*self.scorer.perceptual, 'st_lpips_vgg'))}, "
            f"{identity.words}",
            "novel_views": f"yaw +-{self.config.novel_yaw_degrees:g} degrees (novel_{identity.name}) and "
            f"+-{turned or 'none'}, pitch 0, mean of both sides; {identity.novel_words}",
            "geometry": f"pose and depth at the photo's view and at yaws up to {GEOMETRY_YAW:g} degrees; "
            "pose: MediaPipe's landmarks found in the render, camera fitted to them (good to about 3 degrees)",
            "sets": "photos against renders from the cameras of the photos; frechet_vgg and kernel_vgg are neither FID "
            "nor KID: the features are those of ST-LPIPS, its deepest map, each pixel made as long as √512, averaged"
            + (inception and f"; {inception}"),
            "left_out": self.scorer.left_out,
            "intervals": f"95 %, percentile bootstrap over photos, {RESAMPLES} resamples, seed {self.config.seed}; "
            "several seeds of a method are averaged photo by photo first",
            "encoder_steps": self.config.steps,
            "first_likeness_updates": HANDFUL if self.config.likeness else None,
            "refine": None if refine is None else asdict(refine),
            "seed": self.config.seed,
            "peak_memory": self.memory.words,
            "machine": f"{self.generator.device}, {torch.get_num_threads()} thread(s), "
            f"torch {torch.__version__}, threedpsp {version()}",
        }

    def photo(self, photo: Path | PreparedPhoto, shown: bool = False) -> list[PhotoScores]:
        """Every method and seed on one photo; errors that belong to it are reported, not raised."""
        try:
            crop = crop_of(photo)
            features = self.scorer.features(self._own_size(crop))
        except ThreeDPSPError as error:
            return [PhotoScores(photo.name, m.name, s, error=str(error)) for m in self.methods for s in _seeds(m)]
        picture = (self._own_size(crop).cpu(),) if shown else ()
        rows = []
        for method in self.methods:
            for seed, pipeline in enumerate(method.pipelines):
                try:
                    row = self._scores(photo.name, method, seed, pipeline, crop, shown and seed == 0)
                except ThreeDPSPError as error:
                    row = PhotoScores(photo.name, method.name, seed, error=str(error))
                row.features["photo"] = features
                row.pictures["photo"] = picture
                rows.append(row)
        return rows

    def _own_size(self, crop: FaceCrop) -> torch.Tensor:
        return resize_photo(crop.image, self.generator.config.img_resolution).to(self.generator.device)

    def _scores(
        self, name: str, method: LoadedMethod, seed: int, pipeline: Pipeline, crop: FaceCrop, shown: bool
    ) -> PhotoScores:
        row = PhotoScores(name, method.name, seed)

        def keep(stage: str, seconds: float, inversion: Inversion) -> None:
            measured = self.memory.megabytes()
            scored = self.scorer.score(pipeline, inversion, crop)
            made = float(updates_made(inversion))
            figures = {**scored.figures, "updates": made, "seconds": seconds, "peak_memory": measured}
            row.figures.update({f"{stage}/{figure}": value for figure, value in figures.items()})
            row.features[stage] = scored.features
            if shown:
                row.pictures[stage] = scored.pictures

        self.memory.start()
        started = time.perf_counter()
        inversion = pipeline.invert(crop, steps=steps_of(pipeline, self.config.steps), likeness="none")
        seconds = self._seconds_since(started)
        if not method.refine:
            keep("encoder", seconds, inversion)
        if self.config.likeness and not method.refine:
            self.memory.start()
            started = time.perf_counter()
            first = first_likeness(self.generator, inversion, crop, seed=self.config.seed)
            keep("likeness", seconds + self._seconds_since(started), first)
        if self.config.refine is not None and (method.refine or self.config.refine_all):
            self.memory.start()
            started = time.perf_counter()
            refined = pipeline.refine(inversion, crop, self.config.refine)
            keep("refined", seconds + self._seconds_since(started), refined)
        return row

    def _seconds_since(self, started: float) -> float:
        if self.generator.device.type == "cuda":
            torch.cuda.synchronize(self.generator.device)
        return time.perf_counter() - started


def evaluate(
    methods: Sequence[LoadedMethod],
    folder: Path,
    config: EvaluationConfig,
    on_photo: Callable[[int, int, list[PhotoScores]], None] | None = None,
    arcface: ArcFaceIdentity | None = None,
    inception: Inception | None = None,
) -> EvaluationReport:
    """Every photo of a folder, or every crop of a prepared one, with every method.

    Args:
        methods: what is compared, the one that others are compared with first (see `load_method`).
        folder: see `photos_of`.
        config: how.
        on_photo: called with (done, total, that photo's rows) after each.
        arcface: measures identity; default: dlib's network does.
        inception: for FID and KID (see `load_inception`); without it they are left out.
    """
    photos = photos_of(folder, config.limit)
    evaluator = Evaluator(methods, config, arcface, inception)
    rows: list[PhotoScores] = []
    for index, photo in enumerate(photos):
        scores = evaluator.photo(photo, shown=index < config.shown)
        rows += scores
        if on_photo is not None:
            on_photo(index + 1, len(photos), scores)
    reported = [ReportedMethod(m.name, m.pipelines[0].encoder.method, m.files, _steps(m, config)) for m in methods]
    protocol = evaluator.protocol(isinstance(photos[0], PreparedPhoto))
    return EvaluationReport(protocol, tuple(reported), tuple(rows), config.seed, evaluator.scorer.shown_yaw)


def load_inception(weights_dirs: Sequence[str | Path] = ()) -> Inception | None:
    """The network of FID and KID where its file is in the search path; None where it is not.

    Raises:
        WeightsError: the file is damaged, or holds another network.
    """
    path = locate(entry_named("inception"), weights_dirs)
    return None if path is None else Inception.from_file(path)


def _seeds(method: LoadedMethod) -> range:
    return range(len(method.pipelines))


def _steps(method: LoadedMethod, config: EvaluationConfig) -> int:
    """How many steps its first network makes."""
    pipeline = method.pipelines[0]
    return step_count(pipeline.encoder, steps_of(pipeline, config.steps))
