"""Ends a training after the step it is in when someone asks: Ctrl-C, or the system's request to terminate."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

import torch
import torch.distributed as dist

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While this lasts, a signal only makes `asked` true, so that the training can save before it ends."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> StopRequest:
        self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def agreed(self, seconds: float, device: torch.device) -> tuple[float, bool]:
        """The longest time of all workers, and whether any was asked to stop, so that all do the same."""
        if not dist.is_initialized():
            return seconds, self.asked
        both = torch.tensor([seconds, float(self.asked)], dtype=torch.float64, device=device)
        dist.all_reduce(both, dist.ReduceOp.MAX)
        longest, asked = both.tolist()
        return longest, asked > 0
