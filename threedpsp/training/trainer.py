"""One worker of joint training: optimizers, the step, and the course from the first to the last."""

from __future__ import annotations

import logging
import time

import torch
import torch.distributed as dist

from .checkpoints import resume, save
from .config import JointConfig
from .joint_model import JointModel
from .objective import batch_losses
from .reports import LossMeans, progress_line
from .sheets import save_training_sheet

log = logging.getLogger(__name__)


class JointTrainer(JointModel):
    """One worker: networks and data, and how they change."""

    def __init__(self, config: JointConfig):
        super().__init__(config)
        self.warm_from = 0
        self.means = LossMeans()
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

    def learning_rate_factor(self) -> float:
        """Warm-up over 100 steps, flat, then linear to zero."""
        left = (self.config.steps - self.step) / max(self.config.steps * self.config.decay_share, 1)
        return min(1.0, (self.step - self.warm_from + 1) / 100, max(left, 0.02))

    def train_step(self) -> None:
        """Draw, backpropagate, average over workers, update."""
        c = self.config
        batch = self.next_batch()
        losses = batch_losses(self, batch)
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
        self.means.add(losses)
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

    def save(self) -> None:
        """Write this worker's checkpoint."""
        save(self)

    def resume(self) -> bool:
        """Go on from this worker's checkpoint, if there is one."""
        return resume(self)

    def _report(self, seconds_a_step: float) -> None:
        log.info("%s", progress_line(self.config, self.step, self.workers, seconds_a_step, self.means.take()))

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
                    self._report((now - started) / max(self.step - first, 1))
                started, first = now, self.step
            if self.step % c.save_every == 0 or self.step == c.steps:
                self.save()
            if self.rank == 0 and (self.step % c.sheet_every == 0 or self.step in (100, c.steps)):
                figures = save_training_sheet(self, c.output / f"sheet_{self.step:06d}.png")
                log.info("step %d  held out: %s", self.step, figures)
