"""Peak memory of a piece of work, by the best means that the machine has."""

from __future__ import annotations

import sys

import torch

from ..process_memory import forget_peak, resident_bytes


class PeakMemory:
    """`start()`, the work, `megabytes()`. `words` says what is counted, for the protocol."""

    def __init__(self, device: torch.device) -> None:
        """`device`: where the networks are; for a GPU its own memory counts, else the process's."""
        self.device = device
        self.resets = device.type != "cuda" and forget_peak()
        if device.type == "cuda":
            self.words = "torch's peak of GPU memory during the inversion"
        elif self.resets:
            self.words = "the process's peak of resident memory during the inversion, all loaded networks included"
        else:
            self.words = "the process's peak of resident memory since it began (ru_maxrss), all methods together"

    def start(self) -> None:
        """Forget earlier peaks, where that can be done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        elif self.resets:
            forget_peak()

    def megabytes(self) -> float:
        """Peak since `start`, in MB (10^6 bytes)."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e6
        if self.resets:
            return (resident_bytes("peak") or 0) / 1e6
        try:
            import resource
        except ImportError:  # Windows
            return float("nan")
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
