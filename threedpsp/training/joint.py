"""Trains the tiny generator together with an encoder, on portraits, on CPU.

    torchrun --standalone --nproc-per-node 2 -m threedpsp.training.joint --portraits P.safetensors --output runs/tiny

Several one-thread workers average their gradients (faster on a CPU than one worker with several threads).
Everything needed to go on is in the output folder; the same command resumes.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
import tyro
from torch import Tensor, nn

from ..camera import Camera
from ..eg3d.config import GeneratorConfig
from ..eg3d.generator import Generator
from ..eg3d.rays import camera_rays
from ..eg3d.renderer import over_background, render_rays
from ..encoder.config import EncoderConfig
from ..encoder.encoder import build_encoder
from ..encoder.inversion import N_ITERS, compute_avg_image
from ..metrics.identity import DlibIdentity
from ..metrics.perceptual import STLPIPS
from ..preprocessing.landmark_model import mirror_index
from ..types import TriPlanes
from ..weights.torch_file import read_torch
from .batches import IMAGE_SIDE, NONE, Augmentation, PortraitBatch, PortraitBatches, eye_and_mouth_weight, eye_strip
from .config import JointConfig
from .latents import principal_latents
from .losses import (
    WHOLE,
    Window,
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
from .portraits import PortraitSet
from .sheets import save_training_sheet

log = logging.getLogger(__name__)

COARSE_SIDE = 32
WINDOW_SIDE = 64  # of the part of the photo's view that a step renders
MARGIN = 4  # of the window, not compared


@dataclass(frozen=True)
class Carried:
    """A batch on its way through the ReStyle loop: where it stands after some steps."""

    batch: PortraitBatch
    ws: Tensor
    image: Tensor
    steps: int


class JointTrainer:
    """One worker: networks, optimizers, data, and the step."""

    def __init__(self, config: JointConfig):
        self.config = config
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.workers = dist.get_world_size() if dist.is_initialized() else 1
        torch.manual_seed(config.seed)
        portraits = PortraitSet.load(config.portraits)
        held = set(range(0, len(portraits), max(len(portraits) // max(config.held_out, 1), 1)))
        self.train_set = portraits.take([i for i in range(len(portraits)) if i not in held])
        self.dev_set = portraits.take(sorted(held))
        mirror_points = torch.from_numpy(mirror_index())
        mine = list(range(self.rank, len(self.train_set), self.workers))
        self.batches = PortraitBatches(self.train_set.take(mine), mirror_points, config.seed + 1 + self.rank)
        self.dev = PortraitBatches(self.dev_set, mirror_points, config.seed)
        self.random = torch.Generator().manual_seed(config.seed + 101 + self.rank)
        self.generator = Generator(GeneratorConfig.tiny())
        _start_gently(self.generator)
        sizes = self.generator.config
        samples = config.samples
        self.rendering = dataclasses.replace(
            sizes.rendering, depth_resolution=samples, depth_resolution_importance=samples
        )
        self.encoder = build_encoder(EncoderConfig.tiny(sizes.num_ws, sizes.w_dim), seed=config.seed).train()
        latents = principal_latents(self.train_set, sizes.w_dim)
        self.encoder.latent_avg.copy_(latents.mean(0).expand_as(self.encoder.latent_avg))
        self.latents = nn.Parameter(latents[mine])
        self.first_estimate: Tensor | None = None
        self.carried: Carried | None = None
        self.generator_ema = copy.deepcopy(self.generator).requires_grad_(False)
        self.encoder_ema = copy.deepcopy(self.encoder).requires_grad_(False)
        self.perceptual = STLPIPS("alex")
        self.identity = DlibIdentity()
        self.step = self.warm_from = 0
        self.sums: dict[str, list[float]] = defaultdict(list)
        self._make_optimizers()

    def _make_optimizers(self) -> None:
        c = self.config
        decoder = list(self.generator.decoder.parameters())
        chosen = {id(p) for p in decoder} | {id(p) for p in self.generator.backbone.mapping.parameters()}
        rest = [p for p in self.generator.parameters() if id(p) not in chosen]
        self.shared = decoder + rest + list(self.encoder.parameters())
        groups = [
            {"params": rest, "base": c.generator_lr},
            {"params": decoder, "base": c.generator_lr * c.decoder_lr_factor},
            {"params": list(self.encoder.parameters()), "base": c.encoder_lr},
        ]
        self.optimizer = torch.optim.Adam(groups, lr=c.generator_lr, betas=(0.9, 0.99), fused=True)
        self.latent_optimizer = torch.optim.SparseAdam([self.latents], lr=c.latent_lr, betas=(0.9, 0.99))

    # ---- one step -------------------------------------------------------------------------------------------

    @property
    def encoder_share(self) -> float:
        """Share of latents that come from the encoder, 0..1."""
        c = self.config
        return min(max((self.step - c.handover_start) / max(c.handover_end - c.handover_start, 1), 0.0), 1.0)

    def learning_rate_factor(self) -> float:
        """Warm-up over 100 steps, flat, then linear to zero."""
        left = (self.config.steps - self.step) / max(self.config.steps * self.config.decay_share, 1)
        return min(1.0, (self.step - self.warm_from + 1) / 100, max(left, 0.02))

    def latents_of(self, batch: PortraitBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """ws [N,L,w_dim] from the portraits' own latents or from the encoder, and the losses that tie the two."""
        own = self.latents[batch.index]
        rows = self.generator.config.num_ws
        losses: dict[str, Tensor] = {}
        waiting = self.step < self.config.encoder_start or (self.encoder_share == 0 and self.step % 2)
        if waiting:
            return own[:, None].expand(-1, rows, -1), {"latent": 0.005 * own.square().mean()}
        before = self.carried
        estimate = self.average_image().expand_as(batch.image) if before is None else before.image
        start = self.encoder.latent_avg if before is None else before.ws
        encoded = start + self.encoder(torch.cat([batch.image, estimate], 1), batch.camera)
        share = self.encoder_share
        losses["latent"] = 0.005 * (own.square().mean() if share < 1 else encoded.square().mean())
        mean = encoded.mean(1, keepdim=True)
        losses["rows"] = 0.01 * (encoded - mean).square().mean()
        if share < 1:
            losses["regress"] = (encoded - own.detach()[:, None]).square().mean() * (0.5 if share == 0 else 0.1)
        if before is None and torch.rand([], generator=self.random) < 0.15:
            encoded = mean.expand_as(encoded)  # so that a single w, as mapping gives, renders well too
        use = (torch.rand(len(own), 1, 1, generator=self.random) < share).float()
        return use * encoded + (1 - use) * own[:, None], losses

    @torch.no_grad()
    def average_image(self) -> Tensor:
        """[1,3,128,128]: the mean latent from the front, where the loop starts; made anew every 50 steps."""
        if self.first_estimate is None or self.step % 50 == 0:
            self.first_estimate = compute_avg_image(self.generator, self.encoder.latent_avg, IMAGE_SIDE)
        return self.first_estimate

    def next_batch(self) -> PortraitBatch:
        """A new batch, or the last one for another step of the loop."""
        c = self.config
        if self.encoder_share < 1:
            return self.batches.draw(c.batch, NONE)
        return self.batches.draw(c.batch, Augmentation()) if self.carried is None else self.carried.batch

    def features(
        self, planes: TriPlanes, camera: Camera, side: int, window: Window = WHOLE
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Feature image [N,C,h,w] over the background, opacity and depth [N,1,h,w], of a window; jittered samples."""
        rays = camera_rays(camera, side, *window)
        out = render_rays(planes, self.generator.decoder.mlp(), rays, self.rendering, generator=self.random)
        background = planes.background
        assert background is not None
        if window is not WHOLE:
            background = cut(background, window)  # as many texels as rays
        height, width = background.shape[2:] if window is not WHOLE else (side, side)
        shape = (len(planes), 1, height, width)
        opacity, depth = out.opacity.reshape(shape), out.depth.reshape(shape)
        features = out.features.transpose(1, 2).reshape(len(planes), -1, height, width)
        return over_background(features, opacity, background), opacity, depth

    def picture(self, planes: TriPlanes, ws: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor]:
        """The whole image [N,3,128,128], its opacity and depth."""
        features, opacity, depth = self.features(planes, camera, IMAGE_SIDE)
        return self.generator.superresolution(features[:, :3], features, ws), opacity, depth

    def face_window(self) -> Window:
        """A random window that shows much of the face."""
        room = IMAGE_SIDE - WINDOW_SIDE
        draw = torch.randn(2, generator=self.random) * room / 5 + room / 2
        top, left = draw.round().clamp(0, room).int().tolist()
        return slice(top, top + WINDOW_SIDE), slice(left, left + WINDOW_SIDE)

    def losses(self, batch: PortraitBatch) -> dict[str, Tensor]:
        """All weighted losses of one batch."""
        c = self.config
        ws, losses = self.latents_of(batch)
        planes = self.generator.planes(ws)
        if self.step < c.coarse_steps:
            features, opacity, depth = self.features(planes, batch.camera, COARSE_SIDE)
            losses["raw"] = 2 * (features[:, :3] - shrink(batch.image, COARSE_SIDE)).abs().mean()
            losses["surface"] = 2 * surface_loss(opacity, depth, batch, COARSE_SIDE)
        else:
            losses |= self.photo_losses(ws, planes, batch)
        losses["shell"] = shell_loss(self.generator, planes, batch.mesh, self.random)
        losses["hull"] = hull_loss(self.generator, planes, batch, self.random)
        if self.step % 4 == 1 or self.step < c.coarse_steps:
            losses |= self.mirror_losses(planes, batch)
        elif self.step % 4 == 2:
            losses |= self.novel_losses(ws[:1], first_of(planes), batch)
        elif self.step % 4 == 3:
            losses |= self.identity_losses(ws[:1], first_of(planes), batch)
        return losses

    def photo_losses(self, ws: Tensor, planes: TriPlanes, batch: PortraitBatch) -> dict[str, Tensor]:
        """A window of the photo's own view at full resolution."""
        window = self.face_window()
        features, opacity, depth = self.features(planes, batch.camera, IMAGE_SIDE, window)
        raw = features[:, :3]
        image = self.generator.superresolution.blocks(raw, features, ws)
        photo, weight = cut(batch.image, window), cut(eye_and_mouth_weight(batch.landmarks, IMAGE_SIDE), window)
        self.carried = self.carry(ws, planes, batch)
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
        losses["eyes"] = self.config.eyes_weight * self.perceptual(*eyes).mean()
        if self.step % 2:  # look closer
            image, photo = (F.interpolate(t, scale_factor=2, mode="bilinear") for t in (image, photo))
        losses["perceptual"] = self.config.perceptual_weight * self.perceptual(image, photo).mean()
        return losses

    @torch.no_grad()
    def carry(self, ws: Tensor, planes: TriPlanes, batch: PortraitBatch) -> Carried | None:
        """What the batch needs for another step of the loop, if it is to have one."""
        done = 1 if self.carried is None else self.carried.steps + 1
        again = torch.rand([], generator=self.random) < self.config.loop_share
        if self.encoder_share < 1 or done == N_ITERS or not again:
            return None
        return Carried(batch, ws.detach(), self.picture(planes, ws, batch.camera)[0], done)

    def identity_losses(self, ws: Tensor, planes: TriPlanes, batch: PortraitBatch) -> dict[str, Tensor]:
        """The whole picture of the batch's first portrait: colours, perception, and who it is."""
        c, photo, landmarks = self.config, batch.image[:1], batch.landmarks[:1]
        image, *_ = self.picture(planes, ws, batch.camera[:1])
        difference = self.identity.embed(image, landmarks) - self.target_embedding(batch)[:1]
        return {
            "squared": 6 * (image - photo).square().mean(),
            "perceptual_whole": c.perceptual_weight * self.perceptual(image, photo).mean(),
            "identity": c.identity_weight * difference.square().sum(1).mean(),
        }

    @torch.no_grad()
    def target_embedding(self, batch: PortraitBatch) -> Tensor:
        """Embedding [N,128] of the photos."""
        return self.identity.embed(batch.image, batch.landmarks)

    def mirror_losses(self, planes: TriPlanes, batch: PortraitBatch) -> dict[str, Tensor]:
        """The mirrored photo under the mirrored camera: its silhouette and depth, and weakly its colours."""
        camera = batch.camera.mirrored()
        features, opacity, depth = self.features(planes, camera, COARSE_SIDE)
        maps = {name: getattr(batch, name).flip(3) for name in ("image", "backdrop", "mask", "face", "depth")}
        flipped = dataclasses.replace(batch, camera=camera, **maps)
        error = (features[:, :3] - shrink(flipped.image, COARSE_SIDE)).abs().mean(1, keepdim=True)
        person = shrink(flipped.mask, COARSE_SIDE)
        return {
            "mirror_surface": surface_loss(opacity, depth, flipped, COARSE_SIDE),
            "mirror": self.config.mirror_weight * (error * person).mean(),
        }

    def novel_losses(self, ws: Tensor, planes: TriPlanes, batch: PortraitBatch) -> dict[str, Tensor]:
        """A view that no photo shows, of the batch's first portrait: solid, and recognisably the same person."""
        draw = torch.rand(2, generator=self.random)
        yaw = batch.camera.yaw_degrees[:1] + (draw[0] - 0.5) * 60
        camera = self.generator.config.camera_sphere.at(yaw, batch.camera.pitch_degrees[:1] + (draw[1] - 0.5) * 20)
        if self.step < self.config.handover_start // 2:
            _, opacity, _ = self.features(planes, camera, COARSE_SIDE)
            return {"solid": 0.2 * solid_loss(opacity)}
        image, opacity, depth = self.picture(planes, ws, camera)
        landmarks = projected(batch.mesh[:1], camera, IMAGE_SIDE)
        difference = self.identity.embed(image, landmarks) - self.target_embedding(batch)[:1]
        return {
            "solid": 0.2 * solid_loss(opacity),
            "floater": floater_loss(opacity, depth, camera, batch),
            "novel_backdrop": ((image - batch.backdrop[:1]).abs() * (1 - opacity).detach()).mean(),
            "novel": self.config.novel_weight * difference.square().sum(1).mean(),
        }

    def train_step(self) -> None:
        """Draw, backpropagate, average over workers, update."""
        c = self.config
        batch = self.next_batch()
        losses = self.losses(batch)
        self.optimizer.zero_grad(set_to_none=False)
        self.latents.grad = None
        sum(losses.values(), torch.zeros([])).backward()
        self._average_gradients()
        factor = self.learning_rate_factor()
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * factor
        torch.nn.utils.clip_grad_norm_(self.shared, 5.0)
        self.optimizer.step()
        if self.latents.grad is not None:
            rows = batch.index.unique()
            gradient = self.latents.grad[rows]
            self.latents.grad = torch.sparse_coo_tensor(rows[None], gradient, self.latents.shape, check_invariants=True)
            self.latent_optimizer.param_groups[0]["lr"] = c.latent_lr * factor
            self.latent_optimizer.step()
        keep = min(0.995, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for ema, live in ((self.generator_ema, self.generator), (self.encoder_ema, self.encoder)):
                torch._foreach_lerp_(list(ema.parameters()), list(live.parameters()), 1 - keep)
        for name, value in losses.items():
            self.sums[name].append(value.item())
        self.step += 1

    def _average_gradients(self) -> None:
        if self.workers == 1:
            return
        gradients = [p.grad for p in self.shared if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        flat /= self.workers
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    # ---- state ----------------------------------------------------------------------------------------------

    def checkpoint_path(self) -> Path:
        """This worker's checkpoint (the networks are the same in all, the latents are each worker's own)."""
        return self.config.output / f"checkpoint_{self.rank}_of_{self.workers}.pt"

    def save(self) -> None:
        """All that resuming needs, replaced in one move; what goes on and what resumes do the same from here."""
        self.carried = None
        state = {
            "step": self.step,
            "generator": self.generator.state_dict(),
            "encoder": self.encoder.state_dict(),
            "generator_ema": self.generator_ema.state_dict(),
            "encoder_ema": self.encoder_ema.state_dict(),
            "latent_avg": self.encoder.latent_avg,
            "latents": self.latents.detach(),
            "first_estimate": self.first_estimate,
            "optimizer": self.optimizer.state_dict(),
            "latent_optimizer": self.latent_optimizer.state_dict(),
            "random": self.random.get_state(),
            "batches": self.batches.state(),
        }
        path = self.checkpoint_path()
        temporary = path.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, path)

    def resume(self) -> bool:
        """Go on from the checkpoint, if there is one."""
        path = self.checkpoint_path()
        if not path.is_file():
            return False
        state = read_torch(path)
        self.step = state["step"]
        for name in ("generator", "encoder", "generator_ema", "encoder_ema"):
            getattr(self, name).load_state_dict(state[name])
        for encoder in (self.encoder, self.encoder_ema):
            encoder.latent_avg.copy_(state["latent_avg"])
        self.latents.data.copy_(state["latents"])
        self.first_estimate = state.get("first_estimate")
        if self.config.restart_optimizers:
            self.warm_from = self.step
        else:
            rates = [group["base"] for group in self.optimizer.param_groups]
            self.optimizer.load_state_dict(state["optimizer"])
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["base"] = rate
            self.latent_optimizer.load_state_dict(state["latent_optimizer"])
            self.random.set_state(state["random"])
            self.batches.restore(state["batches"])
        return True

    def report(self, seconds_a_step: float) -> None:
        """A line with the means since the last one."""
        means = "  ".join(f"{name} {sum(v) / len(v):.4f}" for name, v in self.sums.items())
        log.info(
            "step %d  %.2f images/s  %.0f min left  %s",
            self.step,
            self.config.batch * self.workers / seconds_a_step,
            (self.config.steps - self.step) * seconds_a_step / 60,
            means,
        )
        self.sums.clear()

    def run(self) -> None:
        """Until `config.steps`."""
        c = self.config
        if self.resume():
            log.info("resumed at step %d", self.step)
        started, first = time.monotonic(), self.step
        while self.step < c.steps:
            self.train_step()
            if self.step % 50 == 0:
                now = time.monotonic()
                if self.rank == 0:
                    self.report((now - started) / max(self.step - first, 1))
                started, first = now, self.step
            if self.step % c.save_every == 0 or self.step == c.steps:
                self.save()
            if self.rank == 0 and (self.step % c.sheet_every == 0 or self.step in (100, c.steps)):
                figures = save_training_sheet(self, c.output / f"sheet_{self.step:06d}.png")
                log.info("step %d  held out: %s", self.step, figures)


def first_of(planes: TriPlanes) -> TriPlanes:
    """The first latent's planes."""
    assert planes.background is not None
    return dataclasses.replace(planes, features=planes.features[:1], background=planes.background[:1])


def _start_gently(generator: Generator) -> None:
    """Styles near one, so that early latents change colours before they change shapes; density row larger."""
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("affine.weight"):
                parameter.mul_(0.1)
        generator.decoder.net[2].weight[0].mul_(4)  # type: ignore[index]
    generator.backbone.mapping.requires_grad_(False)


def main(config: JointConfig) -> None:
    """Train, or go on training."""
    workers = int(os.environ.get("WORLD_SIZE", "1"))
    if workers > 1:
        torch.set_num_threads(max((os.cpu_count() or 1) // workers, 1))
        dist.init_process_group("gloo")
    config.output.mkdir(parents=True, exist_ok=True)
    JointTrainer(config).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    main(tyro.cli(JointConfig, description=__doc__))
