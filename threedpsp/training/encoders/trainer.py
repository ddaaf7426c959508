"""The course of a training: steps, validations, checkpoints; and the way back from a checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...errors import InputError, WeightsError
from ..ranger import build_ranger
from . import checkpoints as files
from .batches import FaceStream, Share
from .config import TrainConfig
from .ema import Average
from .latent_terms import LatentCritic
from .log import PANELS, STEPS_FILE, TENSORBOARD, VALIDATION_FILE, Board, Pace, Table, save_panel
from .networks import Trained, running_statistics, set_training
from .passes import Passes
from .photos import Batch, Fault
from .processes import Processes
from .state import (
    Progress,
    from_text,
    pack_module,
    pack_optimizer,
    to_text,
    unpack_module,
    unpack_optimizer,
)
from .validation import ValidationSet, validate

TERMS = ("pixel", "perceptual", "identity")
LOSSES = (
    *(f"{part}{term}" for part in ("", "mirror_", "branch_", "branch_mirror_") for term in TERMS),
    *("delta", "latent"),
)
STEP_COLUMNS = (
    *("step", "seconds", "cpu_seconds", "images_per_second", "learning_rate", "loss"), *LOSSES, "critic"
)  # fmt: skip
VALIDATION_COLUMNS = ("step", "seconds", "loss", *LOSSES)
Report = Callable[[str], None]


@dataclass(frozen=True)
class TrainResult:
    """How a training ended.

    step: optimizer steps done. reason: why it stopped. best: lowest validation loss, at best_step. encoder: the best
    network's file. checkpoint: the last checkpoint's folder. seconds: spent training.
    """

    step: int
    reason: str
    best: float | None
    best_step: int
    encoder: Path
    checkpoint: Path
    seconds: float


class Trainer:
    """One process's part of a training."""

    def __init__(
        self,
        config: TrainConfig,
        processes: Processes,
        network: Trained,
        passes: Passes,
        stream: FaceStream,
        validation: ValidationSet,
        report: Report,
    ) -> None:
        """report: called with a line now and then, in the main process alone."""
        self.config = config
        self.processes = processes
        self.network = network
        self.passes = passes
        self.stream = stream
        self.validation = validation
        self.report: Report = report if processes.is_main else _say_nothing
        self.share = Share(config.batch, processes.count, processes.rank, config.accumulation)
        self.critic: LatentCritic | None = passes.critic
        self.progress = Progress(judges=passes.judges.names)
        processes.same_weights([*network.parameters(), *network.buffers()])
        self.average = Average(network, config.ema_decay)
        self.optimizers = self._optimizers()
        if processes.is_main:
            files.remove_unfinished(config.output)
        processes.wait()
        self._resume()
        if config.compile:
            compile_in_place = network.compile  # the call itself would read like that of Python's own compile
            compile_in_place()

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """TriPlaneNet's two networks have one each, because they begin at different steps."""
        parts = dict(self.network.named_children()) if self.network.method.startswith("triplanenet") else {}
        groups = {name: list(part.parameters()) for name, part in parts.items()} or {
            "encoder": list(self.network.parameters())
        }
        for parameter in self.network.parameters():
            parameter.requires_grad_(True)
        rate, eps, betas = self.config.learning_rate, self.config.eps, (0.95, self.config.beta2)
        made = {name: build_ranger(group, rate, betas=betas, eps=eps) for name, group in groups.items()}
        return made if self.critic is None else {**made, "critic": self.critic.optimizer}

    def run(self) -> TrainResult:
        """From where it is to the end.

        Raises:
            InputError: a photo cannot be used, or the loss is not a number; what was done is saved.
        """
        config, progress = self.config, self.progress
        main = self.processes.is_main
        self.steps = Table(config.output / STEPS_FILE, STEP_COLUMNS, progress.step) if main else None
        self.validations = Table(config.output / VALIDATION_FILE, VALIDATION_COLUMNS, progress.step) if main else None
        self.board = Board(config.output / TENSORBOARD if main and config.tensorboard else None, progress.step)
        parts = self.stream.parts(self.share, progress.step, config.workers)
        self.pace = Pace(config.batch, config.steps)
        reason = self._reason()
        saved = progress.step
        try:
            while not reason:
                self._step(parts)
                if progress.step % config.validate_every == 0 or progress.step == config.steps:
                    self._validate()
                reason = self._reason()
                if progress.step % config.save_every == 0 or reason:
                    self.save()
                    saved = progress.step
        except InputError as error:
            if progress.step > saved:
                self.save()
            where = (
                f"Training stopped at step {progress.step}, which is saved" if progress.step else "Nothing is trained"
            )
            raise InputError(f"{error} {where}; the same command goes on from there.") from error
        finally:
            self.board.close()
        last = files.checkpoints(config.output)
        best = config.output / files.BEST / files.ENCODER_FILE
        checkpoint = last[-1] if last else config.output
        encoder = best if best.is_file() else checkpoint / files.ENCODER_FILE
        return TrainResult(
            progress.step, reason, progress.best, progress.best_step, encoder, checkpoint, progress.seconds
        )

    def _reason(self) -> str:
        """Why it is at its end; empty: it is not."""
        config, progress = self.config, self.progress
        if progress.step >= config.steps:
            return "all steps are done"
        late = config.max_seconds and progress.seconds >= config.max_seconds
        if config.max_seconds and self.processes.sums([float(bool(late))])[0]:  # clocks differ
            return f"the {config.max_seconds:g} seconds are over"
        if config.patience and progress.stale >= config.patience:
            return f"no better validation in {progress.stale} of them; the best was at step {progress.best_step}"
        return ""

    def _step(self, parts: Iterator[Batch | Fault]) -> None:
        """Gradients of all parts, their mean over all processes, one optimizer step."""
        config, step = self.config, self.progress.step
        started, cpu_started = time.monotonic(), time.process_time()
        set_training(self.network, config.batch_norm)
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        scale = 1 / config.accumulation
        for index in range(config.accumulation):
            batch = self._next(parts)
            outcome = self.passes.train(self.network, batch, step, scale)
            values = {"loss": outcome.loss, **outcome.terms}
            if self.critic is not None:
                part = index * self.processes.count + self.processes.rank
                stage = self.passes.stage(self.network, step) or 0
                values |= self.critic.backward(outcome.ws, stage, step, part, scale)
            for name, value in values.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value.detach() * scale
        self._update()
        losses = dict(zip(sums, self.processes.sums([float(v) for v in sums.values()]), strict=True))
        losses = {name: value / self.processes.count for name, value in losses.items()}
        if not math.isfinite(losses["loss"]):
            raise InputError(
                f"The loss became {losses['loss']} at step {step + 1}. Choose a lower --learning-rate, or --clip-norm."
            )
        self.progress.step += 1
        self.progress.seconds += time.monotonic() - started
        self.progress.cpu_seconds += time.process_time() - cpu_started
        self.average.update(self.progress.step)
        self.pace.tick()
        self._log(losses)

    def _next(self, parts: Iterator[Batch | Fault]) -> Batch:
        """The next part, if no process has trouble with its own."""
        part = next(parts)
        message = self.processes.first_message(part.message if isinstance(part, Fault) else "")
        if message or isinstance(part, Fault):
            raise InputError(message)
        return part

    def _update(self) -> None:
        """Average gradients and running statistics, then step."""
        rate = self._learning_rate()
        parameters = [p for o in self.optimizers.values() for group in o.param_groups for p in group["params"]]
        gradients = [p.grad for p in parameters if p.grad is not None]
        self.processes.average([*gradients, *running_statistics(self.network)])
        if self.config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        for name, optimizer in self.optimizers.items():
            if name != "critic":
                for group in optimizer.param_groups:
                    group["lr"] = rate
            if any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
                optimizer.step()

    def _learning_rate(self) -> float:
        config, step = self.config, self.progress.step
        factor = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
        if config.decay:
            factor *= 0.5 * (1 + math.cos(math.pi * step / config.steps))
        return config.learning_rate * factor

    def _log(self, losses: dict[str, float]) -> None:
        step = self.progress.step
        row: dict[str, float] = {
            "step": step,
            "seconds": round(self.progress.seconds, 3),
            "cpu_seconds": round(self.progress.cpu_seconds, 3),
            "learning_rate": self._learning_rate(),
        }
        if step % self.config.log_every == 0 or step == self.config.steps:
            line, speed = self.pace.line(step, losses)
            self.report(line)
            row["images_per_second"] = round(speed, 3)
        if self.steps is not None:
            self.steps.add({**losses, **row})
        self.board.numbers("training", losses, step)
        if step % self.config.panels_every == 0 or step == self.config.steps:
            self._panel()

    def _panel(self) -> None:
        if not self.processes.is_main:
            return
        step = self.progress.step
        batch = self.validation.first(self.config.panel_photos)
        outcome = self.passes.validate(self.average.measured(), batch, step)
        path = self.config.output / PANELS / f"step_{step:08d}.png"
        pixels = save_panel(path, batch.image, outcome.images, outcome.mirror, batch.names)
        self.board.picture("validation", pixels, step)

    def _validate(self) -> None:
        """Measure on all validation images; remember and publish the best."""
        progress, step = self.progress, self.progress.step
        figures = validate(self.passes, self.average.measured(), self.validation, self.processes, step)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self.report(f"step {step}  validation on {len(self.validation)} images:  {shown}")
        if self.validations is not None:
            self.validations.add({"step": step, "seconds": round(progress.seconds, 3), **figures})
        self.board.numbers("validation", figures, step)
        if progress.best is None or figures["loss"] < progress.best:
            progress.best, progress.best_step, progress.stale = figures["loss"], step, 0
            if self.processes.is_main:
                files.save_best(self.config.output, self.average.measured(), step=step, **self._facts())
        else:
            progress.stale += 1

    def _facts(self) -> dict[str, object]:
        return {"validation_loss": self.progress.best, "judges": self.progress.judges, "method": self.config.method}

    def save(self) -> None:
        """Write a checkpoint."""
        pools = None if self.critic is None else self.processes.of_all(self.critic.pool.entries)
        if self.processes.is_main:
            tensors = pack_module("network", self.network)
            numbers: dict[str, object] = {"progress": asdict(self.progress)}
            if self.average.network is not self.network:
                tensors |= pack_module("average", self.average.network)
            for name, optimizer in self.optimizers.items():
                entries, numbers[f"optimizer {name}"] = pack_optimizer(f"optimizer {name}", optimizer)
                tensors |= entries
            tensors["random"] = torch.get_rng_state()
            tensors["latent_avg"] = self.network.latent_avg
            if self.critic is not None and pools is not None:
                tensors |= {**pack_module("critic", self.critic.network), "pools": pools}
                numbers["pool"] = self.critic.pool.count
            files.save_checkpoint(
                self.config.output, self.progress.step, self.average.measured(), tensors, to_text(numbers),
                self.config.keep_last, **self._facts(),
            )  # fmt: skip
        self.processes.wait()

    def _resume(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        found = files.checkpoints(self.config.output)
        if not found:
            return
        tensors, text = files.read_state(found[-1])
        numbers = from_text(text)
        progress = Progress(**numbers["progress"])
        if progress.judges != self.progress.judges:
            raise WeightsError(
                f"{found[-1]} was trained with {progress.judges}, but now there is {self.progress.judges}. Put the "
                "same files in place (or name them with --perceptual and --identity)."
            )
        self.progress = progress
        unpack_module("network", self.network, tensors)
        self.network.latent_avg.copy_(tensors["latent_avg"])
        if self.average.network is not self.network:
            unpack_module("average", self.average.network, tensors)
            self.average.network.latent_avg.copy_(tensors["latent_avg"])
        for name, optimizer in self.optimizers.items():
            unpack_optimizer(f"optimizer {name}", optimizer, tensors, numbers[f"optimizer {name}"])
        with suppress(RuntimeError):  # of another version of torch
            torch.set_rng_state(tensors["random"])
        if self.critic is not None:
            unpack_module("critic", self.critic.network, tensors)
            pools = tensors["pools"]
            self.critic.pool.entries.copy_(pools[self.processes.rank % len(pools)])
            self.critic.pool.count = int(numbers["pool"])
        self.report(f"resumed at step {progress.step} from {found[-1]}")


def _say_nothing(line: str) -> None:
    """The report of the processes beside the main one."""
