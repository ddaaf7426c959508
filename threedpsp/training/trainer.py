"""One worker of joint training: optimizers, the step, and the course from the first to the last."""

from __future__ import annotations

import logging
import time

import torch
import torch.distributed as dist
from torch import Tensor

from . import checkpoints
from .config import JointConfig
from .joint_model import JointModel
from .objective import batch_losses
from .reports import LossMeans, progress_line
from .sheets import save_training_sheet
from .stop import StopRequest
from .validation import measure, validation_line

log = logging.getLogger(__name__)

WARM_UP = 100
EMA_DECAY = 0.998


class JointTrainer(JointModel):
    """One worker: networks and data, and how they change."""

    def __init__(self, config: JointConfig):
        super().__init__(config)
        self.seconds = 0.0
        self.reported = 0
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
        return min(1.0, (self.step - self.warm_from + 1) / WARM_UP, max(left, 0.02))

    def train_step(self) -> None:
        """Draw, backpropagate, average over workers, update."""
        started = time.monotonic()
        self.reseed()
        self.optimizer.zero_grad(set_to_none=False)
        self.latents.grad = None
        losses, touched = batch_losses(self)
        sum(losses.values(), torch.zeros([], device=self.device)).backward()
        average([p.grad for p in self.shared if p.grad is not None])
        factor = self.learning_rate_factor()
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * factor
        torch.nn.utils.clip_grad_norm_(self.shared, 5.0)
        self.optimizer.step()
        self._update_latents(touched, factor)
        keep = min(EMA_DECAY, (1 + self.step - self.warm_from) / (10 + self.step - self.warm_from))
        with torch.no_grad():
            for ema, live in ((self.generator_ema, self.generator), (self.encoder_ema, self.encoder)):
                torch._foreach_lerp_(list(ema.parameters()), list(live.parameters()), 1 - keep)
        self.means.add(losses)
        self.step += 1
        self.seconds += time.monotonic() - started

    def _update_latents(self, touched: Tensor, factor: float) -> None:
        """The same step of the same rows in every worker."""
        gradient = self.latents.grad
        if gradient is None:
            return
        rows, values = of_all(touched.to(self.device)), of_all(gradient[touched]) / self.workers.count
        rows, order = torch.unique(rows, return_inverse=True)
        # a portrait that is in the batch twice has its whole gradient in each of its rows: their mean, not their sum
        counts = torch.bincount(order).to(values)[:, None, None]
        summed = values.new_zeros(len(rows), *values.shape[1:]).index_add_(0, order, values) / counts
        self.latents.grad = torch.sparse_coo_tensor(rows[None], summed, self.latents.shape, check_invariants=True)
        self.latent_optimizer.param_groups[0]["lr"] = self.config.latent_lr * factor
        self.latent_optimizer.step()

    def save(self) -> None:
        """Write the checkpoint and the small resume point; one worker does, all forget what a resumed run lacks."""
        self.carried = self.first_estimate = None
        if self.workers.rank == 0:
            checkpoints.save(self)
        if dist.is_initialized():
            dist.barrier()

    def resume(self) -> bool:
        """Go on from the checkpoint, if there is one; otherwise every portrait gets its first latent."""
        resumed = checkpoints.resume(self)
        if not resumed:
            self.first_latents()
        return resumed

    def report(self) -> None:
        """A contact sheet and the figures on the validation set."""
        if self.workers.rank == 0:
            save_training_sheet(self, self.config.output / f"sheet_{self.step:06d}.png")
            if self.config.validation is not None:
                log.info("step %d  %s", self.step, validation_line(measure(self)))
        if dist.is_initialized():
            dist.barrier()

    def run(self) -> None:
        """Until `config.steps`, or someone asks to stop; a checkpoint is written either way.

        Raises:
            KeyboardInterrupt: someone asked.
        """
        c = self.config
        log.info("%s at step %d of %d", "resumed" if self.resume() else "started", self.step, c.steps)
        saved = logged = self.seconds
        first = self.step
        with StopRequest() as request:
            while self.step < c.steps:
                self.train_step()
                if self.step % 50 == 0 or self.step == c.steps:
                    if self.workers.rank == 0:
                        pace = (self.seconds - logged) / max(self.step - first, 1)
                        log.info("%s", progress_line(c, self.step, pace, self.means.take()))
                    logged, first = self.seconds, self.step
                now, stop = request.agreed(self.seconds, self.device)
                report_due = now > (self.reported + 1) * c.report_minutes * 60 or self.step == c.steps
                if now - saved > c.save_minutes * 60 or report_due or stop:
                    saved = now
                    self.reported += report_due
                    self.save()
                if stop:
                    raise KeyboardInterrupt(f"stopped at step {self.step}, which is saved")
                if report_due:
                    self.report()


def average(gradients: list[Tensor]) -> None:
    """Replace each gradient by its mean over all workers."""
    if not dist.is_initialized():
        return
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def of_all(tensor: Tensor) -> Tensor:
    """The tensors of all workers, which have one shape, one after another."""
    if not dist.is_initialized():
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)
