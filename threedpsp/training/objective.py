"""What joint training minimises: latents, and every loss of a batch that hangs on them."""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from ..types import TriPlanes
from .batches import IMAGE_SIDE, PortraitBatch, eye_and_mouth_weight, feature_strips
from .joint_model import WINDOW_SIDE, JointModel
from .losses import (
    Window,
    backdrop_loss,
    cut,
    floater_loss,
    hull_loss,
    projected,
    roughness_loss,
    shell_loss,
    shrink,
    smooth_loss,
    soften_small,
    solid_loss,
    surface_loss,
)

COARSE_SIDE = 32
MARGIN = 4  # rays of the window beside the rest of the picture, which are not compared


def batch_losses(model: JointModel) -> tuple[dict[str, Tensor], Tensor]:
    """All weighted losses of the step, and the indices of the portraits whose own latents they depend on."""
    c = model.config
    own, seen = model.own_half(), model.encoder_half()
    ws, losses, touched = latents_of(model, own, seen)
    batch = PortraitBatch.cat([own, seen])
    planes = model.generator.planes(ws)
    if model.step < c.coarse_steps:
        features, opacity, depth = model.features(planes, batch.camera, COARSE_SIDE)
        losses["raw"] = 2 * (features[:, :3] - shrink(batch.image, COARSE_SIDE)).abs().mean()
        losses["surface"] = 2 * surface_loss(opacity, depth, batch, COARSE_SIDE)
    else:
        losses |= photo_losses(model, ws, planes, batch)
    losses["shell"] = shell_loss(model.generator, planes, batch.mesh, model.random)
    losses["hull"] = hull_loss(model.generator, planes, batch, model.random)
    kind, half = model.step % 4, (model.step // 4) % 2 * len(own)  # a portrait of either half in turn
    if kind == 1 or model.step < c.coarse_steps:
        losses |= mirror_losses(model, planes, batch)
        losses["roughness"] = c.roughness_weight * roughness_loss(planes)
    elif kind == 2:
        losses |= novel_losses(model, ws[half : half + 1], planes[half : half + 1], batch[half : half + 1])
    elif kind == 3:
        losses |= identity_losses(model, ws[half : half + 1], planes[half : half + 1], batch[half : half + 1])
    model.carry(seen, ws[len(own) :], planes[len(own) :])
    return losses, touched


def latents_of(model: JointModel, own: PortraitBatch, seen: PortraitBatch) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """ws [N,L,w_dim] of both halves of the batch, the losses that tie them, and whose own latents were used."""
    latents = model.latents[own.index]
    losses = {"latent": 0.005 * latents.square().mean(), "rows": 0.01 * spread_of_rows(latents)}
    share = model.encoder_share
    if model.step >= model.config.encoder_start and (share < 1 or model.step % 2):
        answer = model.encoder.latent_avg + encode(model, own.image, model.average_image().expand_as(own.image), own)
        losses["regress"] = (answer - latents.detach()).square().mean() * (0.5 if share < 1 else 0.2)
    if share == 0:
        others = model.latents[seen.index]
        return torch.cat([latents, others]), losses, torch.cat([own.index, seen.index])
    before = model.carried
    estimate = model.average_image().expand_as(seen.image) if before is None else before.image
    start = model.encoder.latent_avg if before is None else before.ws
    encoded = start + encode(model, seen.image, estimate, seen)
    losses["latent"] = losses["latent"] + 0.005 * encoded.square().mean()
    losses["rows"] = losses["rows"] + 0.01 * spread_of_rows(encoded)
    touched = own.index
    if before is None and torch.rand([], generator=model.random) < 0.15:
        encoded = encoded.mean(1, keepdim=True).expand_as(encoded)  # so that one w, as mapping gives, renders well too
    if share < 1:
        use = (torch.rand(len(seen), 1, 1, generator=model.random) < share).to(encoded)
        encoded = use * encoded + (1 - use) * model.latents[seen.index]
        touched = torch.cat([own.index, seen.index])
    return torch.cat([latents, encoded]), losses, touched


def encode(model: JointModel, photo: Tensor, estimate: Tensor, batch: PortraitBatch) -> Tensor:
    """The encoder's step in W+."""
    with model.generator.precision.autocast(model.device):
        return model.encoder(torch.cat([photo, estimate], 1), batch.camera).float()


def spread_of_rows(ws: Tensor) -> Tensor:
    """Mean squared distance of the rows to their mean: W+ near W is where other views hold."""
    return (ws - ws.mean(1, keepdim=True)).square().mean()


def photo_losses(model: JointModel, ws: Tensor, planes: TriPlanes, batch: PortraitBatch) -> dict[str, Tensor]:
    """A window of the photo's own view at full resolution."""
    window = model.face_window()
    features, opacity, depth = model.features(planes, batch.camera, IMAGE_SIDE, window)
    raw = features[:, :3]
    image = model.generator.superresolution.blocks(raw, features, ws)
    losses = {
        "raw": (
            (raw - cut(batch.image, window)).abs() * cut(eye_and_mouth_weight(batch.landmarks, IMAGE_SIDE), window)
        ).mean(),
        "surface": surface_loss(opacity, depth, batch, IMAGE_SIDE, window),
        "smooth": 8 * smooth_loss(depth, batch, IMAGE_SIDE, window),
        "backdrop": 0.3 * backdrop_loss(planes, batch),
    }
    side = model.generator.config.img_resolution
    scale = side // IMAGE_SIDE
    inner = _compared(window)
    inside, there = _in_pixels(inner, scale, origin=window), _in_pixels(inner, scale)
    landmarks = batch.landmarks * scale
    image, photo = cut(image, inside), cut(batch.large_image, there)
    image, photo = (soften_small(t, batch.large) for t in (image, photo))
    losses["image"] = ((image - photo).abs() * cut(eye_and_mouth_weight(landmarks, side), there)).mean()
    corner = there[0].start, there[1].start
    strips = [feature_strips(t, landmarks, corner) for t in (image, photo)]
    precision = model.generator.precision
    losses["features"] = model.config.features_weight * model.perceptual(*strips, precision).mean()
    losses["perceptual"] = model.config.perceptual_weight * model.perceptual(image, photo, precision).mean()
    return losses


def _compared(window: Window) -> Window:
    """The window without a margin where the picture goes on, because convolutions saw zeros there."""
    first = [w.start + (MARGIN if w.start > 0 else 0) for w in window]
    last = [w.stop - (MARGIN if w.start + WINDOW_SIDE < IMAGE_SIDE else 0) for w in window]
    return slice(first[0], last[0]), slice(first[1], last[1])


def _in_pixels(part: Window, scale: int, origin: Window | None = None) -> Window:
    """A window of rays as one of pixels, `scale` a ray, counted from the picture's corner or another window's."""
    starts = (0, 0) if origin is None else (origin[0].start, origin[1].start)
    rows, columns = (
        slice((side.start - start) * scale, (side.stop - start) * scale)
        for side, start in zip(part, starts, strict=True)
    )
    return rows, columns


def identity_losses(model: JointModel, ws: Tensor, planes: TriPlanes, batch: PortraitBatch) -> dict[str, Tensor]:
    """The whole picture of one portrait: colours, perception, and who it is."""
    c = model.config
    image = shrink_to(model.picture(planes, ws, batch.camera)[0], IMAGE_SIDE)
    difference = model.identity.embed(image, batch.landmarks) - target_embedding(model, batch)
    return {
        "squared": 6 * (image - batch.image).square().mean(),
        "perceptual_whole": c.perceptual_weight
        * model.perceptual(image, batch.image, model.generator.precision).mean(),
        "identity": c.identity_weight * difference.square().sum(1).mean(),
    }


def shrink_to(image: Tensor, side: int) -> Tensor:
    """[N,C,R,R] -> [N,C,side,side], area mean."""
    return F.adaptive_avg_pool2d(image, side)


@torch.no_grad()
def target_embedding(model: JointModel, batch: PortraitBatch) -> Tensor:
    """Embedding [N,128] of the photos."""
    return model.identity.embed(batch.image, batch.landmarks)


def mirror_losses(model: JointModel, planes: TriPlanes, batch: PortraitBatch) -> dict[str, Tensor]:
    """The mirrored photo under the mirrored camera: its silhouette and depth, and weakly its colours."""
    camera = batch.camera.mirrored()
    features, opacity, depth = model.features(planes, camera, COARSE_SIDE)
    maps = {name: vars(batch)[name].flip(3) for name in ("image", "backdrop", "mask", "face", "depth")}
    flipped = dataclasses.replace(batch, camera=camera, **maps)
    error = (features[:, :3] - shrink(flipped.image, COARSE_SIDE)).abs().mean(1, keepdim=True)
    person = shrink(flipped.mask, COARSE_SIDE)
    return {
        "mirror_surface": surface_loss(opacity, depth, flipped, COARSE_SIDE),
        "mirror": model.config.mirror_weight * (error * person).mean(),
    }


def novel_losses(model: JointModel, ws: Tensor, planes: TriPlanes, batch: PortraitBatch) -> dict[str, Tensor]:
    """A view of one portrait that no photo shows: solid, and recognisably the same person."""
    draw = torch.rand(2, generator=model.random)
    yaw = batch.camera.yaw_degrees.cpu() + (draw[0] - 0.5) * 60
    pitch = batch.camera.pitch_degrees.cpu() + (draw[1] - 0.5) * 20
    camera = model.generator.config.camera_sphere.at(yaw, pitch).to(model.device)
    if model.step < model.config.handover_start // 2:
        _, opacity, _ = model.features(planes, camera, COARSE_SIDE)
        return {"solid": 0.2 * solid_loss(opacity)}
    image, opacity, depth = model.picture(planes, ws, camera)
    image = shrink_to(image, IMAGE_SIDE)
    landmarks = projected(batch.mesh, camera, IMAGE_SIDE)
    difference = model.identity.embed(image, landmarks) - target_embedding(model, batch)
    return {
        "solid": 0.2 * solid_loss(opacity),
        "floater": floater_loss(opacity, depth, camera, batch),
        "novel_backdrop": ((image - batch.backdrop).abs() * (1 - opacity).detach()).mean(),
        "novel": model.config.novel_weight * difference.square().sum(1).mean(),
    }
