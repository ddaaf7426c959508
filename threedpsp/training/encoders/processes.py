"""One process of a training, or one of several: HF Accelerate starts and joins them.

Networks are not wrapped: a step runs backward many times (ReStyle, views, parts of a batch), so gradients are averaged
once, just before the optimizer. The running statistics of batch normalisation are averaged with them, so that all
processes hold the same network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ...device import resolve_device
from ...errors import InputError, MissingDependencyError
from ...precision import resolve_precision
from .config import TrainConfig

BUCKET = 1 << 24  # numbers sent at once


class Processes:
    """What one process knows of the others."""

    def __init__(self, config: TrainConfig) -> None:
        """Joins the others, if 'accelerate launch' (or torchrun) started several.

        Raises:
            MissingDependencyError: Accelerate is not installed.
            InputError: this machine has no such device.
        """
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise MissingDependencyError(
                "Training needs Hugging Face Accelerate. Install it with: pip install 'threedpsp[train]' "
                "(or: pip install accelerate pytorch-optimizer)"
            ) from error
        wanted = resolve_device(config.device)
        self.accelerator = Accelerator(cpu=wanted.type == "cpu")
        self.device = wanted if self.count == 1 else self.accelerator.device
        self.precision = resolve_precision(config.precision, self.device).for_training()
        if config.batch_norm == "sync" and self.device.type != "cuda":
            raise InputError(f"--batch-norm sync works on CUDA only; this is {self.device.type}. Use batch or running.")

    @property
    def count(self) -> int:
        """How many there are."""
        return self.accelerator.num_processes

    @property
    def rank(self) -> int:
        """This one's number."""
        return self.accelerator.process_index

    @property
    def is_main(self) -> bool:
        """Whether it is the one that writes and reports."""
        return self.accelerator.is_main_process

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over all processes; they must come in the same order everywhere."""
        if self.count == 1:
            return
        for bucket in _buckets(list(tensors)):
            flat = torch.cat([t.detach().float().flatten() for t in bucket])
            mean = self.accelerator.reduce(flat, reduction="mean")
            for t, part in zip(bucket, mean.split([t.numel() for t in bucket]), strict=True):
                t.detach().copy_(part.view(t.shape))

    def sums(self, values: Sequence[float]) -> list[float]:
        """Each value's sum over all processes."""
        if self.count == 1:
            return list(values)
        return self.accelerator.reduce(torch.tensor(values, device=self.device), reduction="sum").tolist()

    def same_weights(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's."""
        if self.count > 1:
            from accelerate.utils import broadcast

            for t in tensors:
                t.data.copy_(broadcast(t.detach().clone()))

    def of_all(self, tensor: Tensor) -> Tensor:
        """Every process's tensor, stacked: [processes, ...]."""
        return tensor[None] if self.count == 1 else self.accelerator.gather(tensor[None].contiguous())

    def first_message(self, message: str) -> str:
        """The message of the first process that has one; empty if none has. All must ask."""
        if self.count == 1:
            return message
        if not self.sums([float(bool(message))])[0]:
            return ""
        from accelerate.utils import gather_object

        return next(text for text in gather_object([message]) if text)

    def wait(self) -> None:
        """Until all are here."""
        self.accelerator.wait_for_everyone()

    def end(self) -> None:
        """Leave the others."""
        if self.count > 1:
            self.accelerator.end_training()


def _buckets(tensors: list[Tensor]) -> list[list[Tensor]]:
    """In order, at most `BUCKET` numbers each where the tensors allow it."""
    buckets: list[list[Tensor]] = []
    filled = BUCKET
    for tensor in tensors:
        if filled + tensor.numel() > BUCKET:
            buckets.append([])
            filled = 0
        buckets[-1].append(tensor)
        filled += tensor.numel()
    return buckets
