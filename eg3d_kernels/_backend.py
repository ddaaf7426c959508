"""Which implementation of an op runs."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Implementation = Literal["auto", "reference", "cpu", "cuda"]


class KernelUnavailableError(RuntimeError):
    """A named implementation cannot run here or on these inputs; the message says why and what to do."""


def available_implementations(op: str) -> tuple[str, ...]:
    """Implementations of an op that can run on this machine, slowest first."""
    return ("reference",)


def choose(op: str, implementation: Implementation, tensors: tuple[Tensor, ...]) -> str:
    """The implementation to run on these tensors."""
    if implementation in ("auto", "reference"):
        return "reference"
    raise KernelUnavailableError(f"{op} has no implementation '{implementation}'; use 'auto' or 'reference'.")
