"""The networks that measure, loaded once, and the figures of one head against its photo."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..encoder.inversion import resize_photo
from ..errors import MissingDependencyError
from ..metrics.arcface import ArcFaceIdentity
from ..metrics.dists import DISTS
from ..metrics.identity import SAME_PERSON
from ..metrics.inception import Inception
from ..metrics.perceptual import LPIPS, STLPIPS
from ..metrics.pixel import l2, psnr, ssim
from ..pipeline import Pipeline
from ..threads import as_many_threads_as_pay
from ..types import FaceCrop, Inversion, Render
from ..weights.catalogue import entry_named
from ..weights.search import how_to_get
from .depth_agreement import depth_disagreement
from .identity import ArcFaceMeasure, DlibMeasure, IdentityMeasure, render_landmarks
from .measures import SAME, at_yaw
from .pose_error import pose_error

SHOWN_YAW = 30.0  # degrees; the measured angle next to it is shown
GEOMETRY_YAW = 30.0  # degrees; landmarks of views turned further tell too little of the pose


@dataclass(frozen=True)
class Scored:
    """figures: by name. features: of the photo's view, by network. pictures: that view, then two turned ones."""

    figures: dict[str, float]
    features: dict[str, np.ndarray]
    pictures: tuple[Tensor, ...]


class Scorer:
    """Measures heads; everything at the generator's side, whole crops."""

    def __init__(
        self,
        device: torch.device,
        yaw_degrees: Sequence[float] = (15.0, 30.0, 45.0),
        novel_yaw_degrees: float = 20.0,
        arcface: ArcFaceIdentity | None = None,
        inception: Inception | None = None,
    ) -> None:
        """Loads the networks; those whose files are absent are named in `left_out`.

        Args:
            device: where they compute.
            yaw_degrees: views at each angle to both sides are measured.
            novel_yaw_degrees: one more such angle, whose figure is called novel_identity.
            arcface: measures identity; default: dlib's network does.
            inception: for FID and KID; without it they are left out.

        Raises:
            MissingDependencyError: what identity by dlib or ST-LPIPS needs is not installed.
        """
        self.device = device
        self.yaws = tuple(dict.fromkeys(abs(float(yaw)) for yaw in yaw_degrees))
        self.novel_yaw = abs(float(novel_yaw_degrees))
        self.angles = tuple(dict.fromkeys((*self.yaws, self.novel_yaw)))
        self.shown_yaw = min(self.angles, key=lambda angle: abs(angle - SHOWN_YAW))
        self.left_out: dict[str, str] = {}
        self.vgg = STLPIPS("vgg").to(device)
        self.perceptual: dict[str, nn.Module] = {"st_lpips_alex": STLPIPS("alex").to(device)}
        optional: dict[str, Callable[[], nn.Module]] = {
            "lpips_alex": lambda: LPIPS("alex"),
            "lpips_vgg": lambda: LPIPS("vgg"),
            "dists": DISTS,
        }
        for name, network in optional.items():
            try:
                self.perceptual[name] = network().to(device)
            except MissingDependencyError as error:
                self.left_out[name] = str(error)
        self.inception = None if inception is None else inception.to(device)
        if inception is None:
            self.left_out["fid, kid"] = f"Inception's weights are not there. {how_to_get(entry_named('inception'))}"
        self.identity: IdentityMeasure = DlibMeasure(device) if arcface is None else ArcFaceMeasure(arcface, device)
        self.finds_faces = self._finds_faces(needed=arcface is None)

    def _finds_faces(self, needed: bool) -> bool:
        try:
            render_landmarks(torch.zeros(1, 3, 64, 64))
        except MissingDependencyError as error:
            if needed:
                raise
            self.left_out["pose_error, lost_faces"] = str(error)
            return False
        return True

    @as_many_threads_as_pay()
    @torch.no_grad()
    def features(self, image: Float[Tensor, "1 3 r r"]) -> dict[str, np.ndarray]:
        """What sets are compared by, under the name of its network.

        "vgg": the mean pixel [512] of the deepest map. "inception": the pool features [2048].
        """
        return self._features(image, self.vgg.features(image)[-1])

    def _features(self, image: Tensor, deepest: Tensor) -> dict[str, np.ndarray]:
        """The same, with VGG16's deepest map at hand; its pixels have unit length."""
        found = {"vgg": deepest.mean((2, 3)) * deepest.shape[1] ** 0.5}
        if self.inception is not None:
            found["inception"] = self.inception(image)
        return {name: features[0].double().cpu().numpy() for name, features in found.items()}

    @as_many_threads_as_pay()
    @torch.no_grad()
    def score(self, pipeline: Pipeline, inversion: Inversion, crop: FaceCrop) -> Scored:
        """One head against its photo.

        Raises:
            InputError: the crop lacks what the identity measure needs.
        """
        photo = resize_photo(crop.image, pipeline.generator.config.img_resolution).to(self.device)
        own = inversion.render or next(iter(pipeline.render(inversion, inversion.camera)))
        image = own.image.clamp(-1, 1)
        figures = {"l2": l2(image, photo).item(), "psnr": psnr(image, photo).item(), "ssim": ssim(image, photo).item()}
        maps = self.vgg.features(image)
        figures |= {name: network(image, photo).item() for name, network in self.perceptual.items()}
        figures["st_lpips_vgg"] = self.vgg.distance(maps, self.vgg.features(photo)).item()
        embedding = self.identity.of_photo(photo, crop)
        distance = self.identity.distance(image, crop, embedding)
        figures[self.identity.name] = distance
        if self.identity.name == "identity":
            figures[SAME] = float(distance < SAME_PERSON)
        turned, pictures = self._turned(pipeline, inversion, own, embedding)
        return Scored(figures | turned, self._features(image, maps[-1]), (image.cpu(), *pictures))

    def _turned(
        self, pipeline: Pipeline, inversion: Inversion, own: Render, embedding: Tensor
    ) -> tuple[dict[str, float], list[Tensor]]:
        """Figures of views that no photo shows, at both sides of each angle, pitch 0; and the shown pictures."""
        signed = torch.tensor([side * angle for angle in self.angles for side in (-1.0, 1.0)])
        cameras = pipeline.generator.config.camera_sphere.at(signed)
        own_points = self._landmarks(own.image)
        lost = [own_points is None]
        by_angle: dict[str, list[float]] = {}
        if self.finds_faces:
            by_angle["pose_error"] = [pose_error(own_points, own.image.shape[-1], inversion.camera)]
        pictures: list[Tensor] = []
        for index, view in enumerate(pipeline.render(inversion, cameras)):
            angle, camera = self.angles[index // 2], cameras[index]
            image = view.image.clamp(-1, 1)
            points = self._landmarks(image)
            distance = self.identity.distance_at(image, points, embedding)
            if angle == self.novel_yaw:
                by_angle.setdefault(f"novel_{self.identity.name}", []).append(distance)
            if angle == self.shown_yaw:
                pictures.append(image.cpu())
            if angle not in self.yaws:
                continue
            lost.append(points is None)
            by_angle.setdefault(at_yaw(self.identity.name, angle), []).append(distance)
            if angle <= GEOMETRY_YAW:
                if self.finds_faces:
                    error = pose_error(points, image.shape[-1], camera)
                    by_angle.setdefault(at_yaw("pose_error", angle), []).append(error)
                disagreement = depth_disagreement(own, inversion.camera, view, camera)
                by_angle.setdefault(at_yaw("depth_error", angle), []).append(disagreement)
        figures = {name: _mean(values) for name, values in by_angle.items()}
        if self.finds_faces:
            figures["lost_faces"] = statistics.fmean(lost)
        return figures, pictures

    def _landmarks(self, image: Tensor) -> Tensor | None:
        return render_landmarks(image.clamp(-1, 1)) if self.finds_faces else None


def _mean(values: Sequence[float]) -> float:
    """Over the values that are numbers; not a number where there are none."""
    known = [value for value in values if np.isfinite(value)]
    return statistics.fmean(known) if known else float("nan")
