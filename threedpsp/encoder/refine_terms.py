"""What refining compares with the photo, and what it keeps as it was."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..camera import Camera
from ..eg3d.generator import Generator
from ..eg3d.rays import camera_rays
from ..eg3d.renderer import over_background, render_rays
from ..errors import MissingDependencyError
from ..metrics.identity import DlibIdentity, shared_network
from ..metrics.perceptual import SMALLEST_SIDE, STLPIPS
from ..precision import FLOAT32, Precision
from ..types import FaceCrop, Render, TriPlanes
from .face_points import lift_points, project_points
from .inversion import resize_photo
from .refine_config import RefineConfig

NOVEL_VIEWS = 8
NOVEL_PITCH_DEGREES = 8.0


class PhotoTarget:
    """A photo at the model's side, and what its networks make of it, once.

    Terms whose network or landmarks are missing drop out; `notes` says which and why.
    """

    def __init__(
        self,
        crop: FaceCrop,
        side: int,
        device: torch.device,
        config: RefineConfig,
        precision: Precision = FLOAT32,
    ) -> None:
        self.config = config
        self.precision = precision
        self.side = side
        self.notes: list[str] = []
        self.photo = resize_photo(crop.image.to(device), side)
        self.landmarks: Tensor | None = None  # in pixels of `photo`
        if crop.landmarks is not None:
            self.landmarks = crop.landmarks.to(self.photo) * (side / crop.image.shape[-1])
        self.certainty = torch.ones_like(self.photo[:, :1])
        if crop.mirror_sigma is not None:
            sigma = resize_photo(crop.mirror_sigma.to(self.photo)[:, None], side)
            self.certainty = 1 / (1 + sigma.flip(3))  # it lies on the flipped photo
        self._load_networks()

    @torch.no_grad()
    def _load_networks(self) -> None:
        device = str(self.photo.device)
        self.perceptual: STLPIPS | None = None
        self.identity: DlibIdentity | None = None
        if self.config.perceptual_weight > 0 and self.side >= SMALLEST_SIDE:
            try:
                self.perceptual = shared_perceptual(device)
                self.photo_features = self.perceptual.features(self.photo, self.precision)
            except MissingDependencyError as error:
                self.notes.append(f"Refined without the perceptual term: {error}")
        if self.config.identity_weight > 0 or self.config.novel_weight > 0:
            if self.landmarks is None:
                self.notes.append(
                    "Refined without the identity terms: this crop has no landmarks (prepare finds them)."
                )
                return
            try:
                self.identity = shared_network(device)
                self.photo_embedding = self.identity.embed(self.photo, self.landmarks)
            except MissingDependencyError as error:
                self.notes.append(f"Refined without the identity terms: {error}")

    def terms(self, image: Tensor, certainty: Tensor | None = None) -> dict[str, Tensor]:
        """Weighted losses of a picture [1,3,R,R] against the photo; its squared error may be weighted by pixel."""
        config = self.config
        error = (image - self.photo).square().mean(1, keepdim=True)
        losses = {"l2": config.l2_weight * (error if certainty is None else error * certainty).mean()}
        if self.perceptual is not None:
            features = self.perceptual.features(image, self.precision)
            distance = self.perceptual.distance(features, self.photo_features)
            losses["perceptual"] = config.perceptual_weight * distance.mean()
        if self.landmarks is not None and self.identity is not None:
            losses["identity"] = config.identity_weight * self.identity_error(image, self.landmarks)
        return losses

    def mirror_loss(self, image: Tensor) -> Tensor:
        """The same for a picture from the mirrored camera, against the flipped photo (both are flipped back here)."""
        return self.config.mirror_weight * sum(self.terms(image.flip(3), self.certainty).values(), image.new_zeros([]))

    def identity_error(self, image: Tensor, landmarks: Tensor) -> Tensor:
        """Squared identity distance between the photo and a picture with its landmarks in pixels; 0 if unmeasurable."""
        if self.identity is None:
            return image.new_zeros([])
        return (self.identity.embed(image, landmarks) - self.photo_embedding).square().sum(1).mean()


@dataclass(frozen=True)
class RawView:
    """image [N,3,r,r] before super-resolution; depth and opacity [N,1,r,r]."""

    image: Tensor
    depth: Tensor
    opacity: Tensor


def raw_view(generator: Generator, planes: TriPlanes, camera: Camera, side: int) -> RawView:
    """A view without super-resolution, at any side: cheap enough to look at in every step."""
    camera = camera.expand(len(planes))
    out = render_rays(planes, generator.decoder.mlp(), camera_rays(camera, side), generator.config.rendering)
    depth, opacity = (t.reshape(-1, 1, side, side) for t in (out.depth, out.opacity))
    features = out.features.transpose(1, 2).reshape(len(planes), -1, side, side)
    if planes.background is not None:
        features = over_background(features, opacity, planes.background)
    return RawView(features[:, :3], depth, opacity)


@dataclass(frozen=True)
class _View:
    camera: Camera
    landmarks: Tensor | None  # [1,P,2] in pixels
    depth: Tensor
    opacity: Tensor


class NovelViews:
    """A few views beside the photo's, with the depth and opacity that the head showed there before refining."""

    @torch.no_grad()
    def __init__(
        self, generator: Generator, planes: TriPlanes, ws: Tensor, camera: Camera, start: Render, target: PhotoTarget
    ) -> None:
        """target: the photo at the side at which these views are rendered (its raw image is what is looked at)."""
        self.target = target
        draw = random.Random(target.config.seed)
        world, side = None, target.side
        if target.landmarks is not None:
            world = lift_points(target.landmarks / side, start.image_depth, camera)
        turn = target.config.novel_yaw_degrees
        self.views: list[_View] = []
        for index in range(NOVEL_VIEWS):
            # even steps over the whole range, each somewhere within its stratum
            yaw = camera.yaw_degrees + turn * (2 * (index + draw.random()) / NOVEL_VIEWS - 1)
            pitch = camera.pitch_degrees + NOVEL_PITCH_DEGREES * draw.uniform(-1, 1)
            view = generator.config.camera_sphere.at(yaw.cpu(), pitch.cpu()).to(ws.device)
            seen = raw_view(generator, planes, view, side)
            landmarks = None if world is None else project_points(world, view) * side
            self.views.append(_View(view, landmarks, seen.depth, seen.opacity))
        draw.shuffle(self.views)

    def losses(self, generator: Generator, planes: TriPlanes, step: int) -> dict[str, Tensor]:
        """Weighted losses at one view; the views take turns."""
        config = self.target.config
        view = self.views[step % len(self.views)]
        seen = raw_view(generator, planes, view.camera, self.target.side)
        depth = ((seen.depth - view.depth).abs() * view.opacity).mean()
        opacity = (seen.opacity - view.opacity).square().mean()
        losses = {"geometry": config.geometry_weight * (depth + opacity)}
        if view.landmarks is not None and config.novel_weight > 0:
            losses["novel"] = config.novel_weight * self.target.identity_error(seen.image, view.landmarks)
        return losses


@lru_cache(maxsize=2)
def shared_perceptual(device: str) -> STLPIPS:
    """ST-LPIPS (AlexNet) on a device, read once for refining and comparing."""
    return STLPIPS("alex").to(device)
