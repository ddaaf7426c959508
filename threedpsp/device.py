"""Which device runs, and how randomness is seeded: decided here and nowhere else."""

from __future__ import annotations

import hashlib
import math
import os

import torch

from .cpu_limits import cpu_limit
from .errors import InputError

# Intel's MKL otherwise splits small products differently from run to run, and results differ in the last digits.
# It reads this at its first use, so it must be set before anything is computed; a value of the user's own stays.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")


def default_device() -> torch.device:
    """CUDA if there, else MPS, else CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def resolve_device(device: str | torch.device | None = None) -> torch.device:
    """A `torch.device` for what the user asked for; None or "auto" means `default_device()`.

    Raises:
        InputError: the device's name is unknown, or this machine does not have it.
    """
    if device is None or device == "auto":
        return default_device()
    try:
        resolved = torch.device(device)
        torch.empty(1, device=resolved)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"Device '{device}' cannot be used here ({str(error).splitlines()[0]}). "
            f"Use --device {default_device()} or leave it out."
        ) from error
    return resolved


def random_generator(seed: int) -> torch.Generator:
    """A CPU random generator; drawing on the CPU makes a seed mean the same on every device."""
    return torch.Generator("cpu").manual_seed(seed)


def derived_seed(seed: int, purpose: str, number: int) -> int:
    """A seed for one thing among many; the same each time, and unrelated to the others."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()[:8], "big") >> 1


def available_threads() -> int:
    """CPU threads that have room: one for each processor that this process may use, no more than its groups allow."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, math.ceil(cpu_limit() or cores))
