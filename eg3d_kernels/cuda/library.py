"""Loads the library for graphics cards and calls it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from .. import _backend
from ..build_cuda import build_cuda
from ..errors import KernelUnavailableError

if TYPE_CHECKING:
    from .._backend import Argument, Library

HEADERS = ("functions_cpu.h", "functions_cuda.h")

_lock = threading.Lock()
_loaded: Library | KernelUnavailableError | None = None


def library() -> Library:
    """The compiled library; tried once, after that a failure is remembered.

    Raises:
        KernelUnavailableError: it cannot be built or loaded.
    """
    global _loaded
    with _lock:
        if _loaded is None:
            try:
                _loaded = _backend.load(build_cuda(), *HEADERS)
            except KernelUnavailableError as error:
                _loaded = error
    if isinstance(_loaded, KernelUnavailableError):
        raise KernelUnavailableError(str(_loaded))
    return _loaded


def call(device: torch.device, function: str, arguments: Sequence[Argument]) -> None:
    """Call a function on a card, in torch's current stream there; returns before its work is done.

    Raises:
        KernelUnavailableError: the library is missing, or the card refused the work.
    """
    compiled = library()
    with torch.cuda.device(device):
        compiled.functions.eg3d_set_device(torch.cuda.current_device())
        stream = torch.cuda.current_stream(device).cuda_stream
        _backend.call_library(compiled, function, arguments, stream)
        raise_error(compiled, function)


def raise_error(compiled: Library, function: str) -> None:
    """Raise what went wrong in this thread's calls of the library since this was last asked."""
    error = compiled.functions.eg3d_take_error()
    if error != compiled.ffi.NULL:
        text = compiled.ffi.string(error).decode(errors="replace")
        raise KernelUnavailableError(f"{function} failed on the graphics card: {text}.")
