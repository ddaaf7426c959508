"""How a pipeline is measured: per photo after the encoder and after refining, at the photo's view and beside it.

The crop is compared whole, at the model's own side. PSNR is over all pixels and channels with peak-to-peak 2.
Identity is dlib's embedding distance on chips at the photo's landmarks; at other views the landmarks are found anew
in the render, and where none are found the distance counts as `LOST_FACE`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..encoder.inversion import resize_photo
from ..encoder.refine import RefineConfig
from ..errors import InputError, ThreeDPSPError
from ..export.images import to_uint8
from ..metrics.identity import SAME_PERSON, DlibIdentity, embedding_distance
from ..metrics.perceptual import STLPIPS
from ..metrics.pixel import l2, psnr, ssim
from ..pipeline import Pipeline
from ..preprocessing.folder import PHOTO_SUFFIXES
from ..preprocessing.landmarks import detect_faces
from ..preprocessing.prepare import prepare_photo
from ..types import FaceCrop, Inversion

LOST_FACE = 1.0
DETECTION_SIDE = 256
CROP_SIDE = 256


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

    def __init__(self, pipeline: Pipeline, config: EvaluationConfig):
        self.pipeline = pipeline
        self.config = config
        self.alex, self.vgg = STLPIPS("alex").to(pipeline.device), STLPIPS("vgg").to(pipeline.device)
        self.identity = DlibIdentity().to(pipeline.device)

    def protocol(self) -> dict[str, Any]:
        """The protocol as data."""
        side = self.pipeline.generator.config.img_resolution
        refine = self.config.refine
        return {
            "generator": self.pipeline.generator.fingerprint,
            "crop": f"EG3D crop at {CROP_SIDE} px, photo mirrored beyond its edges, whole crop, area-resized to {side}",
            "metrics": "PSNR, SSIM (11x11 Gaussian), ST-LPIPS (AlexNet, VGG16), identity = dlib ResNet-29 L2 distance",
            "novel_views": f"yaw +-{self.config.novel_yaw_degrees:g} degrees, pitch 0; landmarks found in the render; "
            f"no face found counts as {LOST_FACE}",
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
        if crop.landmarks is None:
            raise InputError("Evaluation needs the crop's landmarks; make it with `prepare`.")
        landmarks = (crop.landmarks * (side / crop.image.shape[-1])).to(device)
        embedding = self.identity.embed(photo, landmarks)
        figures = {
            "l2": l2(image, photo),
            "psnr": psnr(image, photo),
            "ssim": ssim(image, photo),
            "st_lpips_alex": self.alex(image, photo),
            "st_lpips_vgg": self.vgg(image, photo),
            "identity": embedding_distance(self.identity.embed(image, landmarks) - embedding),
        }
        yaw = self.config.novel_yaw_degrees
        cameras = self.pipeline.generator.config.camera_sphere.at(torch.tensor([-yaw, yaw]))
        views = [v.image.clamp(-1, 1) for v in self.pipeline.render(inversion, cameras)]
        novel = [self._novel_identity(view, embedding) for view in views]
        return {name: value.item() for name, value in figures.items()} | {"novel_identity": statistics.fmean(novel)}

    def _novel_identity(self, image: Tensor, embedding: Tensor) -> float:
        points = render_landmarks(image)
        if points is None:
            return LOST_FACE
        return embedding_distance(self.identity.embed(image, points.to(image.device)) - embedding).item()

    def photo(self, path: Path) -> PhotoScores:
        """One photo; errors that belong to it are reported, not raised."""
        try:
            crop = prepare_photo(path, size=CROP_SIDE, border="mirror", with_mirror_sigma=True)
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
            return PhotoScores(path.name, error=str(error))
        return PhotoScores(path.name, figures)


def render_landmarks(image: Tensor) -> Tensor | None:
    """MediaPipe's points [1,478,2] in pixels of a rendered image [1,3,R,R], or None if it finds no face."""
    side = image.shape[-1]
    big = torch.nn.functional.interpolate(image, size=DETECTION_SIDE, mode="bicubic", align_corners=False)
    faces = detect_faces(np.ascontiguousarray(to_uint8(big.clamp(-1, 1))[0]))
    if not faces:
        return None
    return torch.from_numpy(faces[0].points)[None] * (side / DETECTION_SIDE)


def photos_of(folder: Path, limit: int = 0) -> list[Path]:
    """The photos of a folder, in order.

    Raises:
        InputError: no such folder, or no photo in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give a folder of photos.")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
    if not paths:
        raise InputError(f"No photos in {folder}.")
    return paths[:limit] if limit else paths


def evaluate(
    pipeline: Pipeline,
    folder: Path,
    config: EvaluationConfig,
    on_photo: Callable[[int, int, PhotoScores], None] | None = None,
) -> EvaluationReport:
    """Every photo of a folder; on_photo is called with (done, total, scores) after each."""
    evaluator = Evaluator(pipeline, config)
    paths = photos_of(folder, config.limit)

    def rows() -> Iterator[PhotoScores]:
        for index, path in enumerate(paths):
            scores = evaluator.photo(path)
            if on_photo is not None:
                on_photo(index + 1, len(paths), scores)
            yield scores

    return EvaluationReport(evaluator.protocol(), tuple(rows()))
