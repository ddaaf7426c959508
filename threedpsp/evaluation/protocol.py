"""How a pipeline is measured: per photo after the encoder and after refining, at the photo's view and beside it.

The crop is compared whole, at the model's own side. PSNR is over all pixels and channels with peak-to-peak 2.
Identity is dlib's embedding distance on chips at the photo's landmarks; at other views the landmarks are found anew
in the render, and where none are found the distance counts as `LOST_FACE`. Or it is ArcFace's (see `identity`).
Crops of a folder that is prepared already are measured as they are, with their own cameras.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..encoder.inversion import resize_photo
from ..encoder.refine import RefineConfig
from ..errors import InputError, ThreeDPSPError
from ..metrics.arcface import ArcFaceIdentity
from ..metrics.identity import SAME_PERSON
from ..metrics.perceptual import STLPIPS
from ..metrics.pixel import l2, psnr, ssim
from ..pipeline import Pipeline
from ..preprocessing.folder import PHOTO_SUFFIXES
from ..preprocessing.prepare import prepare_photo
from ..preprocessing.prepared_folder import PreparedPhoto, is_prepared, load_prepared, read_prepared
from ..types import FaceCrop, Inversion
from .identity import ArcFaceMeasure, DlibMeasure, IdentityMeasure

CROP_SIDE = 256
ALIGNED = f"EG3D crop at {CROP_SIDE} px, photo mirrored beyond its edges"


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured."""

    steps: int = 5
    """Encoder steps."""
    refine: RefineConfig | None = None
    """None: the encoder alone."""
    novel_yaw_degrees: float = 20.0
    """Novel views are at this yaw to either side, pitch 0."""
    seed: int = 0
    limit: int = 0
    """Only the first so many photos; 0 = all."""


@dataclass(frozen=True)
class PhotoScores:
    """One photo: figures by name, or why there are none."""

    photo: str
    figures: dict[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class EvaluationReport:
    """All photos, the means over those that worked, and the protocol in words."""

    protocol: dict[str, Any]
    photos: tuple[PhotoScores, ...]

    @property
    def means(self) -> dict[str, float]:
        """Mean of every figure, and the share of photos whose identity distance is below dlib's threshold."""
        rows = [p.figures for p in self.photos if p.error is None]
        names = list(rows[0]) if rows else []
        means = {name: statistics.fmean(row[name] for row in rows) for name in names}
        for name in [n for n in names if n.endswith("/identity")]:
            means[f"{name}_below_{SAME_PERSON}"] = statistics.fmean(row[name] < SAME_PERSON for row in rows)
        return means

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"protocol": self.protocol, "means": self.means, "photos": [asdict(p) for p in self.photos]}

    def to_markdown(self) -> str:
        """The means as a table, one row a stage."""
        means = self.means
        stages = list(dict.fromkeys(name.split("/")[0] for name in means))
        columns = list(dict.fromkeys(name.split("/")[1] for name in means))
        lines = ["| stage | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        for stage in stages:
            cells = [f"{means[f'{stage}/{c}']:.3f}" if f"{stage}/{c}" in means else "-" for c in columns]
            lines.append(f"| {stage} | " + " | ".join(cells) + " |")
        return "\n".join(lines)


class Evaluator:
    """The networks that measure, loaded once."""

    def __init__(self, pipeline: Pipeline, config: EvaluationConfig, arcface: ArcFaceIdentity | None = None):
        """`arcface`: measures identity; default: dlib's network does."""
        self.pipeline = pipeline
        self.config = config
        self.alex, self.vgg = STLPIPS("alex").to(pipeline.device), STLPIPS("vgg").to(pipeline.device)
        device = pipeline.device
        self.identity: IdentityMeasure = DlibMeasure(device) if arcface is None else ArcFaceMeasure(arcface, device)

    def protocol(self, prepared: bool = False) -> dict[str, Any]:
        """The protocol as data; `prepared`: the crops come from a prepared folder."""
        side = self.pipeline.generator.config.img_resolution
        refine = self.config.refine
        return {
            "generator": self.pipeline.generator.fingerprint,
            "crop": ("crops and cameras of a prepared folder as they are" if prepared else ALIGNED)
            + f", whole crop, area-resized to {side}",
            "metrics": f"PSNR, SSIM (11x11 Gaussian), ST-LPIPS (AlexNet, VGG16), {self.identity.words}",
            "novel_views": f"yaw +-{self.config.novel_yaw_degrees:g} degrees, pitch 0; {self.identity.novel_words}",
            "encoder_steps": self.config.steps,
            "refine": None if refine is None else asdict(refine),
            "seed": self.config.seed,
        }

    @torch.no_grad()
    def scores(self, inversion: Inversion, crop: FaceCrop) -> dict[str, float]:
        """Figures of one inversion against its photo."""
        side = self.pipeline.generator.config.img_resolution
        device = self.pipeline.device
        photo = resize_photo(crop.image, side).to(device)
        (own,) = self.pipeline.render(inversion, inversion.camera)
        image = own.image.clamp(-1, 1)
        embedding = self.identity.of_photo(photo, crop)
        figures = {
            "l2": l2(image, photo),
            "psnr": psnr(image, photo),
            "ssim": ssim(image, photo),
            "st_lpips_alex": self.alex(image, photo),
            "st_lpips_vgg": self.vgg(image, photo),
        }
        identity = {self.identity.name: self.identity.distance(image, crop, embedding)}
        yaw = self.config.novel_yaw_degrees
        cameras = self.pipeline.generator.config.camera_sphere.at(torch.tensor([-yaw, yaw]))
        views = [v.image.clamp(-1, 1) for v in self.pipeline.render(inversion, cameras)]
        novel = statistics.fmean(self.identity.novel_distance(view, embedding) for view in views)
        identity[f"novel_{self.identity.name}"] = novel
        return {name: value.item() for name, value in figures.items()} | identity

    def photo(self, photo: Path | PreparedPhoto) -> PhotoScores:
        """One photo; errors that belong to it are reported, not raised."""
        try:
            if isinstance(photo, PreparedPhoto):
                crop = load_prepared(photo)
            else:
                crop = prepare_photo(photo, size=CROP_SIDE, border="mirror", with_mirror_sigma=True)
            started = time.perf_counter()
            inversion = self.pipeline.invert(crop, steps=self.config.steps)
            figures = {"encoder/seconds": time.perf_counter() - started}
            figures |= {f"encoder/{name}": value for name, value in self.scores(inversion, crop).items()}
            if self.config.refine is not None:
                started = time.perf_counter()
                inversion = self.pipeline.refine(inversion, crop, self.config.refine)
                figures["refined/seconds"] = time.perf_counter() - started
                figures |= {f"refined/{name}": value for name, value in self.scores(inversion, crop).items()}
        except ThreeDPSPError as error:
            return PhotoScores(photo.name, error=str(error))
        return PhotoScores(photo.name, figures)


def photos_of(folder: Path, limit: int = 0) -> Sequence[Path | PreparedPhoto]:
    """The photos of a folder, in order; of a folder that is prepared already, its crops (without mirrored copies).

    Raises:
        InputError: no such folder, no photo in it, or a damaged dataset.json.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give a folder of photos.")
    paths: Sequence[Path | PreparedPhoto]
    if is_prepared(folder):
        paths = read_prepared(folder, PHOTO_SUFFIXES).photos
    else:
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
    if not paths:
        raise InputError(f"No photos in {folder}.")
    return paths[:limit] if limit else paths


def evaluate(
    pipeline: Pipeline,
    folder: Path,
    config: EvaluationConfig,
    on_photo: Callable[[int, int, PhotoScores], None] | None = None,
    arcface: ArcFaceIdentity | None = None,
) -> EvaluationReport:
    """Every photo of a folder, or every crop of a prepared one.

    Args:
        pipeline: what is measured.
        folder: see `photos_of`.
        config: how.
        on_photo: called with (done, total, scores) after each.
        arcface: measures identity; default: dlib's network does.
    """
    photos = photos_of(folder, config.limit)
    evaluator = Evaluator(pipeline, config, arcface)

    def rows() -> Iterator[PhotoScores]:
        for index, photo in enumerate(photos):
            scores = evaluator.photo(photo)
            if on_photo is not None:
                on_photo(index + 1, len(photos), scores)
            yield scores

    prepared = isinstance(photos[0], PreparedPhoto)
    return EvaluationReport(evaluator.protocol(prepared), tuple(rows()))
