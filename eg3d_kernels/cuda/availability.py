"""Whether an op runs compiled on a graphics card; decided at its first use there, by comparing it with the plain op."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import KernelUnavailableError
from . import self_check
from .library import library

_log = logging.getLogger(__name__)
_lock = threading.RLock()
_reasons: dict[tuple[str, torch.device], str] = {}
_warned: set[str] = set()


def unavailable_reason(op: str, device: torch.device | None = None) -> str:
    """Why the op cannot run compiled on this card (the current one if None), in one line; empty where it can.

    Compiles, and compares the op with the plain one, when first asked.
    """
    if not torch.cuda.is_available() or torch.version.cuda is None:
        return "torch finds no NVIDIA graphics card (install a driver and torch's CUDA build)"
    index = torch.cuda.current_device() if device is None or device.index is None else device.index
    return checked(op, torch.device("cuda", index))


def checked(op: str, device: torch.device) -> str:
    """Why not to run the op compiled on this device, found once; empty where it agrees with the plain one."""
    with _lock:
        if (op, device) not in _reasons:
            _reasons[op, device] = ""  # the check itself runs the op
            _reasons[op, device] = _check(op, device)
        return _reasons[op, device]


def _check(op: str, device: torch.device) -> str:
    try:
        if device.type == "cuda":
            library()
        difference = self_check.worst_difference(op, device)
    except (KernelUnavailableError, RuntimeError) as error:  # torch reports what a card refuses as RuntimeError
        return str(error).splitlines()[0]
    if difference > self_check.TOLERANCE:
        return f"its result differs from the plain one by {difference:.1e} on {device}"
    return ""


def usable(op: str, tensors: Sequence[Tensor]) -> bool:
    """Whether the compiled op takes these tensors, all of them on cards; says once in the log why it never will."""
    device = tensors[0].device
    if any(t.device != device or t.dtype != torch.float32 for t in tensors):
        return False
    reason = unavailable_reason(op, device)
    if reason:
        warn_once(op, reason)
    return not reason


def require(op: str, tensors: Sequence[Tensor]) -> None:
    """Raise KernelUnavailableError unless the compiled op can run on these tensors."""
    if reason := unavailable_reason(op, next((t.device for t in tensors if t.device.type == "cuda"), None)):
        raise KernelUnavailableError(
            f"{op}: implementation 'cuda' cannot run: {reason.rstrip('.')}. Or use implementation='auto'."
        )
    unsuited = next((t for t in tensors if t.device != tensors[0].device or t.dtype != torch.float32), None)
    unsuited = next((t for t in tensors if t.device.type != "cuda"), unsuited)
    if unsuited is not None:
        raise KernelUnavailableError(
            f"{op}: implementation 'cuda' takes float32 tensors on one graphics card; got {unsuited.dtype} on "
            f"{unsuited.device}. Convert them, or use implementation='auto'."
        )


def warn_once(op: str, reason: str) -> None:
    """One line for each reason, whichever op meets it first."""
    with _lock:
        if reason in _warned:
            return
        _warned.add(reason)
    _log.warning("%s runs as plain torch on the graphics card: %s", op, reason)
