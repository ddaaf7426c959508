"""Teaches the descent on planes: what to add to the planes of a frozen encoder's heads so that they show the person."""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from ..camera import Camera
from ..encoder.inversion import resize_photo
from ..encoder.plane_descent import PlaneDescent, error_of, spread_of
from ..encoder.refine_terms import raw_view
from ..types import TriPlanes
from .batches import IMAGE_SIDE, PortraitBatch, eye_and_mouth_weight, feature_strips
from .descent_config import DescentTraining
from .joint_model import JointModel
from .losses import projected, shrink, soften_small


class DescentLosses:
    """The losses of one batch, step by step; each is let go before the next is rendered."""

    def __init__(self, model: JointModel, network: PlaneDescent, config: DescentTraining) -> None:
        self.model, self.network, self.config = model, network, config
        self.rendering = dataclasses.replace(
            model.generator.config.rendering,
            depth_resolution=config.samples,
            depth_resolution_importance=config.samples,
        )

    def backward(self, ws: Tensor, batch: PortraitBatch, step: int) -> dict[str, float]:
        """Gradients of the network for a batch of heads; returns the losses after the last step by name.

        The error's gradient in the planes is read as it is (nothing flows through it), so one backward pass of each
        render serves both the next step and the losses.
        """
        config, steps = self.config, self.network.config.steps
        with torch.no_grad():
            planes = self.model.generator.planes(ws)
        spread, offset = spread_of(planes), torch.zeros_like(planes.features)
        pulls: list[Tensor] = []
        losses: dict[str, Tensor] = {}
        for done in range(steps + 1):
            last = done == steps
            leaf = (planes.features + offset).detach().requires_grad_()
            seen = dataclasses.replace(planes, features=leaf)
            image = self.model.generator.render(seen, ws, batch.camera, rendering=self.rendering).image
            gradient = None
            if not last:
                photo = resize_photo(batch.large_image, image.shape[-1])
                error = error_of(image, photo).sum()
                gradient = torch.autograd.grad(error, leaf, retain_graph=done > 0)[0]
            if done:
                losses = self.own_view(image, batch, whole=last)
                if last:
                    losses |= self.other_views(planes, seen, batch, step)
                    losses |= self.identity(image, batch) if step % 3 == 0 else {}
                total = sum(losses.values(), image.new_zeros([])) * (1.0 if last else config.early_weight)
                pulls.append((torch.autograd.grad(total, leaf)[0] * offset).sum())
            if gradient is not None:
                offset = offset + self.network(leaf.detach(), gradient, offset.detach(), spread, done)
        small = 1e-3 * (offset / spread).square().mean()
        (sum(pulls, small)).backward()
        return {name: value.item() for name, value in losses.items()}

    def own_view(self, image: Tensor, batch: PortraitBatch, whole: bool) -> dict[str, Tensor]:
        """At the photo's camera; the perceptual terms after the last step only."""
        config, side = self.config, image.shape[-1]
        landmarks = batch.landmarks * (side / IMAGE_SIDE)
        image, photo = (soften_small(t, batch.large) for t in (image, resize_photo(batch.large_image, side)))
        weight = eye_and_mouth_weight(landmarks, side, 2.0)
        difference = image - photo
        losses = {
            "l1": (difference.abs() * weight).mean(),
            "l2": config.l2_weight * (difference.square() * weight).mean(),
        }
        if whole:
            small = resize_photo(image, IMAGE_SIDE)
            distance, precision = self.model.perceptual, self.model.generator.precision
            losses["perceptual"] = config.perceptual_weight * distance(small, batch.image, precision).mean()
            strips = [feature_strips(t, landmarks) for t in (image, photo)]
            losses["features"] = config.features_weight * distance(*strips, precision).mean()
        return losses

    def identity(self, image: Tensor, batch: PortraitBatch) -> dict[str, Tensor]:
        """Who is seen at the photo's camera."""
        identity = self.model.identity
        with torch.no_grad():
            wanted = identity.embed(batch.image, batch.landmarks)
        difference = identity.embed(resize_photo(image, IMAGE_SIDE), batch.landmarks) - wanted
        return {"identity": self.config.identity_weight * difference.square().sum(1).mean()}

    def other_views(self, before: TriPlanes, planes: TriPlanes, batch: PortraitBatch, step: int) -> dict[str, Tensor]:
        """What no photo shows: the mirrored photo, and who is seen from the side, in turn."""
        config, model, side = self.config, self.model, self.config.guard_side
        if step % 3 != 1:
            view = raw_view(model.generator, planes, batch.camera.mirrored(), side)
            photo, person = (shrink(t, side).flip(3) for t in (batch.image, batch.mask))
            return {"mirror": config.mirror_weight * ((view.image - photo).abs() * person).mean()}
        camera = self.turned(batch.camera)
        view = raw_view(model.generator, planes, camera, side)
        with torch.no_grad():
            was = raw_view(model.generator, before, camera, side)
            wanted = model.identity.embed(batch.image, batch.landmarks)
        moved = ((view.depth - was.depth).abs() * was.opacity).mean() + (view.opacity - was.opacity).square().mean()
        enlarged = F.interpolate(view.image, size=IMAGE_SIDE, mode="bilinear", align_corners=False)
        difference = model.identity.embed(enlarged, projected(batch.mesh, camera, IMAGE_SIDE)) - wanted
        return {
            "geometry": config.geometry_weight * moved,
            "novel": config.novel_weight * difference.square().sum(1).mean(),
        }

    def turned(self, camera: Camera) -> Camera:
        """Cameras up to 25 degrees to either side."""
        draw = torch.rand(len(camera), generator=self.model.random) * 50 - 25
        sphere = self.model.generator.config.camera_sphere
        return sphere.at(camera.yaw_degrees.cpu() + draw, camera.pitch_degrees.cpu()).to(self.model.device)
