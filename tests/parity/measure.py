"""What a case's tensors are compared with, and how far apart they are."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from .case import Case, CaseError

_VIEW = re.compile(r"(?P<base>.+?)_(?P<view>stride|centre|channel_)(?P<number>\d*)$")


@dataclass(frozen=True)
class Measured:
    """The worst error of one quantity, and what is allowed."""

    quantity: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Within what is allowed."""
        return self.error <= self.tolerance

    def __str__(self) -> str:
        return f"{self.quantity} {self.error:.1e}{'' if self.passed else ' ABOVE'} ({self.tolerance:.0e})"


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """max|a - b| / max|b|; infinite where shapes differ, there are no numbers, or one of them is not a number."""
    return _error(actual, expected, expected.double().abs().max().clamp_min(1e-12).item() if expected.numel() else 1.0)


def absolute_error(actual: Tensor, expected: Tensor) -> float:
    """max|a - b|; infinite where shapes differ, there are no numbers, or one of them is not a number."""
    return _error(actual, expected, 1.0)


def _error(actual: Tensor, expected: Tensor, scale: float) -> float:
    if actual.shape != expected.shape or not expected.numel():
        return math.inf
    error = (actual.double() - expected.double()).abs().max().item() / scale
    return math.inf if math.isnan(error) else error


def compare(
    case: Case,
    outputs: Mapping[str, Tensor],
    tolerances: Mapping[str, float] | float,
    *,
    absolute: Iterable[str] = (),
) -> list[Measured]:
    """Every recorded tensor whose quantity is in `outputs`, the views of a quantity together.

    A name may end in a view of its quantity: `_stride4` (every fourth row and column), `_stride` (every axis thinned
    to the recorded size), `_centre64` (the middle 64 x 64), `_channel_0` (that entry of the third axis).

    Raises:
        CaseError: nothing that was recorded is in `outputs`.
    """
    worst: dict[str, float] = {}
    for name, expected in case.tensors.items():
        quantity, actual = seen_as(name, outputs, expected)
        if actual is not None:
            error = (absolute_error if quantity in absolute else relative_error)(actual, expected)
            worst[quantity] = max(error, worst.get(quantity, 0.0))
    if not worst:
        raise CaseError(f"it holds nothing to compare with; known: {', '.join(outputs)}")
    limits = tolerances if isinstance(tolerances, Mapping) else dict.fromkeys(worst, tolerances)
    return [Measured(quantity, worst[quantity], limits[quantity]) for quantity in outputs if quantity in worst]


def base_of(name: str) -> str:
    """The quantity that a tensor's name stands for."""
    found = _VIEW.fullmatch(name)
    return found["base"] if found else name


def seen_as(name: str, outputs: Mapping[str, Tensor], expected: Tensor) -> tuple[str, Tensor | None]:
    """The quantity a tensor's name stands for, and ours in the recorded view (None: not ours)."""
    if name in outputs:
        return name, outputs[name]
    found = _VIEW.fullmatch(name)
    if not found or found["base"] not in outputs:
        return name, None
    full, number = outputs[found["base"]], found["number"]
    if found["view"] == "stride" and not number:
        steps = (math.ceil(whole / part) for whole, part in zip(full.shape, expected.shape, strict=True))
        return found["base"], full[tuple(slice(None, None, step) for step in steps)]
    if not number:
        raise CaseError(f"the name {name!r} lacks a number")
    count = int(number)
    if found["view"] == "stride":
        return found["base"], full[..., ::count, ::count]
    if found["view"] == "centre":
        rows, columns = (slice(side // 2 - count // 2, side // 2 - count // 2 + count) for side in full.shape[-2:])
        return found["base"], full[..., rows, columns]
    return found["base"], full[:, :, count]
