"""What a weights file turned out to be, and the checks that every kind of file shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import WeightsError
from ..unfilled import unfilled
from .limits import SIZE_ERRORS

MAX_GROWTH = 4  # bytes of weights as float32 for a byte of the file: one-byte numbers become four bytes
MAX_SMALL = 64 << 20  # bytes of weights in any file, however small
MAX_MEMORY = 4 << 30  # bytes of weights as float32; the largest encoder has 1.2 GB
_SHOWN = 3  # names in a message
_COUNTER = "num_batches_tracked"  # the only weights that are whole numbers
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Recognised:
    """A weights file, read as data."""

    kind: str
    """"eg3d-generator", "encoder" (3DpSp, pSp and e4e), "triplanenet", "arcface", "confnet" or "deep3d"."""
    what: str
    """One line for people."""
    tensors: dict[str, Tensor]
    """Floating ones as float32; names as our modules have them. Those that a problem names are left out."""
    config: dict[str, Any]
    """Plain values; what the module is built from."""
    facts: dict[str, str] = field(default_factory=dict)
    """Where it comes from: file, format, sha256, settings it was trained with."""
    problems: list[str] = field(default_factory=list)
    """Why it cannot be used as it is, a line each; empty for a good file."""
    path: str = ""
    """The file, as it was given."""

    def check(self) -> Recognised:
        """Itself, if there are no problems.

        Raises:
            WeightsError: there are; names the file and all of them.
        """
        if self.problems:
            fault = "does not fit its own config" if self.facts.get("format") == "safetensors" else "cannot be used"
            where = f"{self.path}: it" if self.path else "it"
            raise WeightsError(f"{where} looks like {self.what}, but it {fault}: {'; '.join(self.problems)}.")
        return self


def shapes_of(build: Callable[[], nn.Module]) -> dict[str, Shape]:
    """Names and shapes of a module's weights; no memory is taken for them.

    Raises:
        WeightsError: no such module can be built.
    """
    try:
        with unfilled():
            return {name: tuple(value.shape) for name, value in build().state_dict().items()}
    except SIZE_ERRORS as error:
        raise WeightsError(f"no network has its sizes ({str(error)[:200]}).") from error


def compare_shapes(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> list[str]:
    """What is missing, left over or of another shape; batch normalisation's counters may be missing."""
    needed = {name for name in expected if not name.endswith(_COUNTER)}
    problems = []
    if missing := sorted(needed - set(found)):
        problems.append(f"{_tensors(missing)} missing: {_some(missing)}")
    if unknown := sorted(set(found) - set(expected)):
        problems.append(f"{_tensors(unknown)} unknown: {_some(unknown)}")
    if wrong := sorted(name for name in needed & set(found) if found[name] != expected[name]):
        details = [f"{n} is {list(found[n])}, expected {list(expected[n])}" for n in wrong[:_SHOWN]]
        problems.append(f"{_tensors(wrong)} of another shape: {', '.join(details)}{_more(wrong)}")
    return problems


def usable(
    expected: Mapping[str, Shape], found: Mapping[str, Shape], read: Callable[[str], Tensor], file_size: int
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors that are as expected (float32, on the CPU, memory of their own), and the problems with the others.

    Args:
        expected: names and shapes of the network's weights.
        found: those of the file.
        read: gives a tensor of the file.
        file_size: bytes.

    Raises:
        WeightsError: the file holds far fewer numbers than its tensors have together.
    """
    problems = compare_shapes(expected, found)
    fitting = [name for name in expected if found.get(name) == expected[name]]
    memory = sum(4 * math.prod(expected[name]) for name in fitting)
    if memory > MAX_GROWTH * file_size + MAX_SMALL:
        raise WeightsError(
            f"its tensors repeat the same numbers: {memory:,} bytes of weights out of a file of {file_size:,} bytes."
        )
    if memory > MAX_MEMORY:
        raise WeightsError(f"its tensors have {memory:,} bytes; no network has more than {MAX_MEMORY:,}.")
    tensors: dict[str, Tensor] = {}
    broken, other_kind = [], []
    for name in fitting:
        stored = read(name)
        if stored.is_floating_point() == name.endswith(_COUNTER):
            other_kind.append(name)
            continue
        tensor = as_float32(stored)
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            broken.append(name)
        else:
            tensors[name] = tensor
    if other_kind:
        problems.append(f"{_tensors(other_kind)} with whole numbers for fractions or the reverse: {_some(other_kind)}")
    if broken:
        problems.append(f"{_tensors(broken)} with values that are not finite (NaN or infinite): {_some(broken)}")
    return tensors, problems


def as_float32(tensor: Tensor) -> Tensor:
    """A copy in memory of its own: contiguous, floating ones as float32, others as int64."""
    dtype = torch.float32 if tensor.is_floating_point() else torch.int64
    return tensor.detach().to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)


def _tensors(names: list[str]) -> str:
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''}"


def _some(names: list[str]) -> str:
    return ", ".join(name[:80] for name in names[:_SHOWN]) + _more(names)


def _more(names: list[str]) -> str:
    return f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
