"""What joint training minimises: latents, and every loss of a batch that hangs on them."""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from ..encoder.inversion import N_ITERS
from ..types import TriPlanes
from .batches import IMAGE_SIDE, PortraitBatch, eye_and_mouth_weight, eye_strip
from .joint_model import Carried, JointModel
from .losses import (
    backdrop_loss,
    cut,
    floater_loss,
    hull_loss,
    projected,
    shell_loss,
    shrink,
    smooth_loss,
    solid_loss,
    surface_loss,
)

COARSE_SIDE = 32
MARGIN = 4  # of the window, not compared


def latents_of(model: JointModel, batch: PortraitBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """ws [N,L,w_dim] from the portraits' own latents or from the encoder, and the losses that tie the two."""
    own = model.latents[batch.index]
    rows = model.generator.config.num_ws
    losses: dict[str, Tensor] = {}
    waiting = model.step < model.config.encoder_start or (model.encoder_share == 0 and model.step % 2)
    if waiting:
        return own[:, None].expand(-1, rows, -1), {"latent": 0.005 * own.square().mean()}
    before = model.carried
    estimate = model.average_image().expand_as(batch.image) if before is None else before.image
    start = model.encoder.latent_avg if before is None else before.ws
    encoded = start + model.encoder(torch.cat([batch.image, estimate], 1), batch.camera)
    share = model.encoder_share
    losses["latent"] = 0.005 * (own.square().mean() if share < 1 else encoded.square().mean())
    mean = encoded.mean(1, keepdim=True)
    losses["rows"] = 0.01 * (encoded - mean).square().mean()
    if share < 1:
        losses["regress"] = (encoded - own.detach()[:, None]).square().mean() * (0.5 if share == 0 else 0.1)
    if before is None and torch.rand([], generator=model.random) < 0.15:
        encoded = mean.expand_as(encoded)  # so that a single w, as mapping gives, renders well too
    use = (torch.rand(len(own), 1, 1, generator=model.random) < share).float()
    return use * encoded + (1 - use) * own[:, None], losses


def batch_losses(model: JointModel, batch: PortraitBatch) -> dict[str, Tensor]:
    """All weighted losses of one batch."""
    c = model.config
    ws, losses = latents_of(model, batch)
    planes = model.generator.planes(ws)
    if model.step < c.coarse_steps:
        features, opacity, depth = model.features(planes, batch.camera, COARSE_SIDE)
        losses["raw"] = 2 * (features[:, :3] - shrink(batch.image, COARSE_SIDE)).abs().mean()
        losses["surface"] = 2 * surface_loss(opacity, depth, batch, COARSE_SIDE)
    else:
        losses |= photo_losses(model, ws, planes, batch)
    losses["shell"] = shell_loss(model.generator, planes, batch.mesh, model.random)
    losses["hull"] = hull_loss(model.generator, planes, batch, model.random)
    if model.step % 4 == 1 or model.step < c.coarse_steps:
        losses |= mirror_losses(model, planes, batch)
    elif model.step % 4 == 2:
        losses |= novel_losses(model, ws[:1], first_of(planes), batch)
    elif model.step % 4 == 3:
        losses |= identity_losses(model, ws[:1], first_of(planes), batch)
    return losses


def photo_losses(model: JointModel, ws: Tensor, planes: TriPlanes, batch: PortraitBatch) -> dict[str, Tensor]:
    """A window of the photo's own view at full resolution."""
    window = model.face_window()
    features, opacity, depth = model.features(planes, batch.camera, IMAGE_SIDE, window)
    raw = features[:, :3]
    image = model.generator.superresolution.blocks(raw, features, ws)
    photo, weight = cut(batch.image, window), cut(eye_and_mouth_weight(batch.landmarks, IMAGE_SIDE), window)
    model.carried = carry(model, ws, planes, batch)
    losses = {
        "raw": ((raw - photo).abs() * weight).mean(),
        "surface": surface_loss(opacity, depth, batch, IMAGE_SIDE, window),
        "smooth": 8 * smooth_loss(depth, batch, IMAGE_SIDE, window),
        "backdrop": 0.3 * backdrop_loss(planes, batch),
    }
    inner = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))  # convolutions see zeros beyond the window
    image, photo, weight = cut(image, inner), cut(photo, inner), cut(weight, inner)
    losses["image"] = ((image - photo).abs() * weight).mean()
    corner = window[0].start + MARGIN, window[1].start + MARGIN
    eyes = [eye_strip(t, batch.landmarks, corner) for t in (image, photo)]
    losses["eyes"] = model.config.eyes_weight * model.perceptual(*eyes).mean()
    if model.step % 2:  # look closer
        image, photo = (F.interpolate(t, scale_factor=2, mode="bilinear") for t in (image, photo))
    losses["perceptual"] = model.config.perceptual_weight * model.perceptual(image, photo).mean()
    return losses


@torch.no_grad()
def carry(model: JointModel, ws: Tensor, planes: TriPlanes, batch: PortraitBatch) -> Carried | None:
    """What the batch needs for another step of the loop, if it is to have one."""
    done = 1 if model.carried is None else model.carried.steps + 1
    again = torch.rand([], generator=model.random) < model.config.loop_share
    if model.encoder_share < 1 or done == N_ITERS or not again:
        return None
    return Carried(batch, ws.detach(), model.picture(planes, ws, batch.camera)[0], done)


def identity_losses(model: JointModel, ws: Tensor, planes: TriPlanes, batch: PortraitBatch) -> dict[str, Tensor]:
    """The whole picture of the batch's first portrait: colours, perception, and who it is."""
    c, photo, landmarks = model.config, batch.image[:1], batch.landmarks[:1]
    image, *_ = model.picture(planes, ws, batch.camera[:1])
    difference = model.identity.embed(image, landmarks) - target_embedding(model, batch)
    return {
        "squared": 6 * (image - photo).square().mean(),
        "perceptual_whole": c.perceptual_weight * model.perceptual(image, photo).mean(),
        "identity": c.identity_weight * difference.square().sum(1).mean(),
    }


@torch.no_grad()
def target_embedding(model: JointModel, batch: PortraitBatch) -> Tensor:
    """Embedding [1,128] of the batch's first photo."""
    return model.identity.embed(batch.image[:1], batch.landmarks[:1])


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
    """A view that no photo shows, of the batch's first portrait: solid, and recognisably the same person."""
    draw = torch.rand(2, generator=model.random)
    yaw = batch.camera.yaw_degrees[:1] + (draw[0] - 0.5) * 60
    camera = model.generator.config.camera_sphere.at(yaw, batch.camera.pitch_degrees[:1] + (draw[1] - 0.5) * 20)
    if model.step < model.config.handover_start // 2:
        _, opacity, _ = model.features(planes, camera, COARSE_SIDE)
        return {"solid": 0.2 * solid_loss(opacity)}
    image, opacity, depth = model.picture(planes, ws, camera)
    landmarks = projected(batch.mesh[:1], camera, IMAGE_SIDE)
    difference = model.identity.embed(image, landmarks) - target_embedding(model, batch)
    return {
        "solid": 0.2 * solid_loss(opacity),
        "floater": floater_loss(opacity, depth, camera, batch),
        "novel_backdrop": ((image - batch.backdrop[:1]).abs() * (1 - opacity).detach()).mean(),
        "novel": model.config.novel_weight * difference.square().sum(1).mean(),
    }


def first_of(planes: TriPlanes) -> TriPlanes:
    """The first latent's planes."""
    assert planes.background is not None
    return dataclasses.replace(planes, features=planes.features[:1], background=planes.background[:1])
