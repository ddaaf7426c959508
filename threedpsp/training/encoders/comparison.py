"""How far a render is from what its camera should see: pixels, perception, identity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ...camera import Camera
from ...encoder.face_points import project_points
from ...errors import InputError, MissingDependencyError, WeightsError
from ...metrics.arcface import ArcFaceIdentity, id_loss
from ...metrics.face_chip import FIVE_POINTS
from ...metrics.identity import DlibIdentity, embedding_distance
from ...metrics.perceptual import LPIPS, SMALLEST_SIDE, STLPIPS, PerceptualDistance
from ...precision import FLOAT32, Precision
from ...preprocessing.pose_model import load_pose_model
from ...weights.systems import identity_network
from .config import TrainConfig
from .loss_weights import LossWeights
from .photos import Batch

Terms = dict[str, Tensor]


class Judges:
    """The frozen networks that compare pictures; `names` says which they are."""

    def __init__(
        self,
        perceptual: PerceptualDistance | None,
        identity: ArcFaceIdentity | DlibIdentity | None,
        precision: Precision = FLOAT32,
    ) -> None:
        """precision: of the perceptual measure's convolutions."""
        self.perceptual = perceptual
        self.identity = identity
        self.precision = precision

    @property
    def names(self) -> dict[str, str]:
        """What stands behind the terms."""
        kinds = {LPIPS: "LPIPS (AlexNet)", STLPIPS: "ST-LPIPS (AlexNet)", type(None): "none"}
        identity = {ArcFaceIdentity: "ArcFace, 1 - cosine", DlibIdentity: "dlib, distance of embeddings"}
        return {
            "perceptual": kinds.get(type(self.perceptual), "given"),
            "identity": "none" if self.identity is None else identity[type(self.identity)],
        }

    def features(self, image: Float[Tensor, "n 3 s s"]) -> list[Tensor]:
        """The perceptual measure's maps; none without one."""
        return [] if self.perceptual is None else self.perceptual.features(image, self.precision)

    def embed(self, image: Float[Tensor, "n 3 s s"], camera: Camera) -> Tensor:
        """Identity embeddings; dlib's chips are cut where the camera sees an average face's eyes and nose."""
        if isinstance(self.identity, ArcFaceIdentity):
            return self.identity(image)
        if self.identity is None:
            raise InputError("No identity network was loaded.")
        return self.identity.embed(image, landmarks_of(camera, image.shape[-1]).to(image))

    def identity_distance(self, a: Tensor, b: Tensor) -> Float[Tensor, " n"]:
        """ArcFace: 1 - cosine. dlib: Euclidean."""
        return id_loss(a, b) if isinstance(self.identity, ArcFaceIdentity) else embedding_distance(a - b)


def load_judges(
    config: TrainConfig, weights: list[LossWeights], device: torch.device, precision: Precision = FLOAT32
) -> Judges:
    """The networks that a training needs, with what is there.

    Raises:
        MissingDependencyError: what was asked for is not there.
        WeightsError: the same, or its file is damaged.
    """
    side = min(w.side for w in weights)
    perceptual: PerceptualDistance | None = None
    if any(w.perceptual for w in weights):
        if side < SMALLEST_SIDE:
            raise InputError(f"Perceptual terms need {SMALLEST_SIDE} pixels a side; pictures have {side}.")
        perceptual = _perceptual(config).to(device)
    identity: ArcFaceIdentity | DlibIdentity | None = None
    if any(w.identity for w in weights):
        identity = _identity(config).to(device)
    return Judges(perceptual, identity, precision)


def _perceptual(config: TrainConfig) -> PerceptualDistance:
    if config.perceptual == "st-lpips":
        return STLPIPS()
    try:
        return LPIPS()
    except MissingDependencyError:
        if config.perceptual == "lpips":
            raise
        return STLPIPS()


def _identity(config: TrainConfig) -> ArcFaceIdentity | DlibIdentity:
    folders: tuple[Path, ...] = () if config.weights_dir is None else (config.weights_dir,)
    if config.identity == "dlib":
        return DlibIdentity()
    try:
        return identity_network("arcface", folders) or DlibIdentity()
    except WeightsError:
        if config.identity == "arcface":
            raise
        return DlibIdentity()


def landmarks_of(camera: Camera, side: int) -> Float[Tensor, "n 468 2"]:
    """Where cameras see an average face's eye corners and nose, in pixels; the other points are not filled in."""
    model = load_pose_model()
    place = {int(number): row for row, number in enumerate(model.points)}
    points = torch.tensor(model.mean[[place[number] for number in FIVE_POINTS]], dtype=torch.float32)
    seen = project_points(points.to(camera.cam2world).expand(len(camera), -1, -1), camera) * side
    landmarks = seen.new_zeros(len(camera), 468, 2)
    landmarks[:, list(FIVE_POINTS)] = seen
    return landmarks


@dataclass(frozen=True)
class Target:
    """What a camera should see, and what the judges make of it, once for all steps."""

    image: Tensor
    certainty: Tensor | None
    camera: Camera
    features: list[Tensor]
    embedding: Tensor | None


@dataclass(frozen=True)
class View:
    """A camera, and how a render from it is judged."""

    name: str
    camera: Camera
    compare: Callable[[Tensor], tuple[Tensor, Terms]]
    """Render at the side of comparison -> the weighted sum, and each term before weighting."""


def views_of(batch: Batch, weights: LossWeights, judges: Judges, *, published_mirror_lpips: bool = False) -> list[View]:
    """The photo's view, and the mirror view if it counts.

    Args:
        batch: at the side of comparison.
        weights: how much each term counts.
        judges: the networks.
        published_mirror_lpips: LPIPS of the mirror is taken between the front render and the flipped photo.
    """
    front = _target(batch.image, None, batch.camera, weights, judges)
    if not weights.mirror:
        return [View("", batch.camera, _comparing(front, weights, judges, "", 1.0))]
    mirrored = batch.camera.mirrored()
    mirror = _target(batch.mirror_image, batch.mirror_certainty, mirrored, weights, judges)
    compare_front = _comparing(front, weights, judges, "", 1.0)
    if not published_mirror_lpips:
        return [
            View("", batch.camera, compare_front),
            View("mirror_", mirrored, _comparing(mirror, weights, judges, "mirror_", weights.mirror)),
        ]

    def compare_as_published(image: Tensor) -> tuple[Tensor, Terms]:
        total, terms = compare_front(image)
        if judges.perceptual is not None and weights.perceptual:
            distance = judges.perceptual.distance(judges.features(image), mirror.features).mean()
            total = total + weights.mirror * weights.perceptual * distance
            terms = {**terms, "mirror_perceptual": distance}
        return total, terms

    return [
        View("", batch.camera, compare_as_published),
        View("mirror_", mirrored, _comparing(mirror, weights, judges, "mirror_", weights.mirror, perceptual=False)),
    ]


@torch.no_grad()
def _target(image: Tensor, certainty: Tensor | None, camera: Camera, weights: LossWeights, judges: Judges) -> Target:
    features = judges.features(image) if weights.perceptual else []
    embedding = judges.embed(image, camera) if judges.identity is not None and weights.identity else None
    return Target(image, certainty, camera, features, embedding)


def _comparing(
    target: Target, weights: LossWeights, judges: Judges, name: str, factor: float, *, perceptual: bool = True
) -> Callable[[Tensor], tuple[Tensor, Terms]]:
    def compare(image: Tensor) -> tuple[Tensor, Terms]:
        terms = {"pixel": pixel_error(image, target.image, target.certainty, weights)}
        total = weights.pixel * terms["pixel"]
        if perceptual and target.features and judges.perceptual is not None:
            terms["perceptual"] = judges.perceptual.distance(judges.features(image), target.features).mean()
            total = total + weights.perceptual * terms["perceptual"]
        if target.embedding is not None:
            distance = judges.identity_distance(judges.embed(image, target.camera), target.embedding)
            terms["identity"] = distance.mean()
            total = total + weights.identity * terms["identity"]
        return factor * total, {name + term: value for term, value in terms.items()}

    return compare


def pixel_error(
    a: Float[Tensor, "n 3 s s"],
    b: Float[Tensor, "n 3 s s"],
    certainty: Float[Tensor, "n 1 s s"] | None,
    weights: LossWeights,
) -> Float[Tensor, ""]:
    """Mean over channels of the squared (or smooth L1) error, times the certainty of each pixel, mean over all."""
    error = (a - b).square() if weights.pixel_term == "l2" else F.smooth_l1_loss(a, b, reduction="none")
    per_pixel = error.mean(1, keepdim=True)
    return (per_pixel if certainty is None else per_pixel * certainty).mean()
