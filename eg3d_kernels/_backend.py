"""Loads the compiled library when first needed, and decides which implementation of an op runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from . import cuda
from .build import CSRC, build
from .errors import KernelUnavailableError
from .load_once import LoadOnce

Implementation = Literal["auto", "reference", "cpu", "cuda"]

Preference = Literal["auto", "reference", "published"]
PREFERENCE_VARIABLE = "THREEDPSP_KERNELS"
IMAGE_TYPES = (torch.float32, torch.bfloat16)
OPS = ("sample_planes", "query_points", "render_rays", "bias_act", "upfirdn2d", "modulated_conv2d")


class Library(NamedTuple):
    """The compiled library, and cffi's description of what is in it."""

    ffi: Any
    functions: Any


class Structure(NamedTuple):
    """A C structure: its name in csrc/functions_cpu.h, and its fields in their order."""

    name: str
    fields: Sequence[Argument]


Argument = Tensor | int | float | Sequence[int] | Structure | None

_log = logging.getLogger(__name__)
_warned = False
_forked = False


def _load_cpu() -> Library:
    return load(build(), "functions_cpu.h")


library = LoadOnce(_load_cpu)
"""The compiled library; raises KernelUnavailableError where it cannot be built or loaded."""


def _after_fork() -> None:
    """In a forked child: another thread of the parent may hold the lock, and the threads of OpenMP are gone."""
    global _forked
    library.forget_lock()
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def load(path: Path, *headers: str) -> Library:
    """A compiled library with the functions that these headers of csrc declare.

    Raises:
        KernelUnavailableError: it cannot be loaded.
    """
    try:
        import cffi
    except ImportError as error:
        raise KernelUnavailableError(
            "cffi is missing, which calls the compiled kernels; run: pip install cffi."
        ) from error
    ffi = cffi.FFI()
    for header in headers:
        ffi.cdef((CSRC / header).read_text(encoding="utf-8"))
    try:
        return Library(ffi, ffi.dlopen(str(path)))
    except OSError as error:
        raise KernelUnavailableError(f"{path} cannot be loaded ({error}); delete it to have it built anew.") from error


def call(function: str, *arguments: Argument) -> None:
    """Call a function of the library; tensors and structures go as pointers, and tensors must be contiguous.

    The number of threads is added as the last argument: that of torch; 1 in a forked process, where OpenMP would wait
    for threads that it does not have. Where the tensors are on a graphics card, its library is called, see `cuda.call`.
    """
    device = next((t.device for t in _tensors(arguments) if t.device.type == "cuda"), None)
    if device is not None:
        cuda.call(device, function, arguments)
        return
    threads = 1 if _forked else torch.get_num_threads()
    call_library(library(), function, arguments, threads)


def call_library(where: Library, function: str, arguments: Sequence[Argument], last: int) -> None:
    """Call a function of this library, with one number after the arguments."""
    ffi, functions = where
    ffi.addressof(functions, function)(*(_as_c(ffi, argument) for argument in arguments), last)


def _tensors(arguments: Sequence[Argument]) -> Iterator[Tensor]:
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, Structure):
            yield from _tensors(argument.fields)


def _as_c(ffi: Any, value: Argument) -> Any:
    """What cffi does not convert itself."""
    if value is None:
        return ffi.NULL
    if isinstance(value, Tensor):
        return ffi.cast("void *", value.data_ptr())
    if isinstance(value, Structure):
        return ffi.new(f"struct {value.name} *", [_as_c(ffi, field) for field in value.fields])
    return value


def available_implementations(op: str) -> tuple[str, ...]:
    """Implementations of an op that can run on this machine, slowest first; may compile."""
    if op not in OPS:
        raise ValueError(f"There is no op '{op}'; there are {', '.join(OPS)}.")
    found = ["reference"]
    try:
        library()
        found.append("cpu")
    except KernelUnavailableError:
        pass
    if not cuda.unavailable_reason(op):
        found.append("cuda")
    return tuple(found)


def unavailable_reason() -> str:
    """Why the compiled library cannot be used here, in one line; empty where it can; may compile."""
    try:
        library()
    except KernelUnavailableError as error:
        return str(error).splitlines()[0]
    return ""


def preference() -> Preference:
    """What the environment variable THREEDPSP_KERNELS makes of the implementation "auto".

    Where it is "auto" or empty, that is the fastest one; where it is "reference", that in plain torch; where it is
    "published", the same with images laid out as the published code has them, to compare with.

    Raises:
        ValueError: the variable is something else.
    """
    value = os.environ.get(PREFERENCE_VARIABLE) or "auto"
    for known in get_args(Preference):
        if value == known:
            return known
    raise ValueError(f"{PREFERENCE_VARIABLE} must be auto, reference or published; got {value!r}.")


def image_format() -> torch.memory_format:
    """How images [n, c, h, w] lie in memory where the ops are fastest."""
    return torch.contiguous_format if preference() == "published" else torch.channels_last


def choose(
    op: str, implementation: Implementation, tensors: Sequence[Tensor], images: Sequence[Tensor] = ()
) -> Literal["reference", "cpu"]:
    """Whether to run on these tensors the plain op, or the compiled one ("cpu"), which is that of their device.

    Compiled ops take float32; on processors, `images` may be bfloat16.

    Raises:
        KernelUnavailableError: the named implementation cannot run here or on these tensors.
    """
    if implementation == "reference" or (implementation == "auto" and preference() != "auto"):
        return "reference"
    given = [*images, *tensors]
    if implementation == "cuda":
        cuda.require(op, given)
        return "cpu"
    if implementation == "auto" and given and all(t.device.type == "cuda" for t in given):
        return "cpu" if cuda.usable(op, given) else "reference"
    unsuited = next((t for t in tensors if t.device.type != "cpu" or t.dtype != torch.float32), None)
    unsuited = next((t for t in images if t.device.type != "cpu" or t.dtype not in IMAGE_TYPES), unsuited)
    if unsuited is None:
        try:
            library()
            return "cpu"
        except KernelUnavailableError as error:
            if implementation == "cpu":
                raise KernelUnavailableError(f"{op}: implementation 'cpu' cannot run: {error}") from error
            _warn_once(error)
    elif implementation == "cpu":
        raise KernelUnavailableError(
            f"{op}: implementation 'cpu' takes float32 tensors on the CPU; got {unsuited.dtype} on {unsuited.device}. "
            "Convert them, or use implementation='auto'."
        )
    return "reference"


def _warn_once(error: KernelUnavailableError) -> None:
    global _warned
    if not _warned:
        _warned = True
        _log.warning("Rendering with plain torch, several times slower: %s", str(error).splitlines()[0])
