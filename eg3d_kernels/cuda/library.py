"""Loads the library for graphics cards and calls it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from .. import _backend
from ..build_cuda import build_cuda
from ..errors import KernelUnavailableError
from ..load_once import LoadOnce

if TYPE_CHECKING:
    from .._backend import Argument, Library

HEADERS = ("functions_cpu.h", "functions_cuda.h")


def _load() -> Library:
    return _backend.load(build_cuda(), *HEADERS)


library = LoadOnce(_load)
"""The compiled library; raises KernelUnavailableError where it cannot be built or loaded."""


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
