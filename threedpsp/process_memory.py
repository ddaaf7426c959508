"""Resident memory of this process, as Linux tells it; elsewhere it is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_STATUS = Path("/proc/self/status")
_FORGET = Path("/proc/self/clear_refs")


def resident_bytes(what: Literal["now", "peak"]) -> int | None:
    """In use now, or at most since the process began or `forget_peak`; None where the system does not tell."""
    name = {"now": "VmRSS:", "peak": "VmHWM:"}[what]
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)


def forget_peak() -> bool:
    """Count the peak from here on; False where this system cannot."""
    try:
        _FORGET.write_text("5", encoding="ascii")
    except OSError:
        return False
    return resident_bytes("peak") is not None
