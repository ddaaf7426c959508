"""glibc gives every large tensor's memory back at once and fetches it anew: most of a second an image.

Two variables stop that, but only if they are set before the process starts; so the command starts itself again. Others
(ComfyUI, notebooks, servers) can set them themselves.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from os import execve

TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "1000000000000"}
"""No mapping of its own for a large tensor; freed memory is kept."""
OPT_OUT = "THREEDPSP_ALLOCATOR"
"""The variable that, as "default", leaves everything as it is."""
_CHOSEN_ELSEWHERE = ("GLIBC_TUNABLES", "LD_PRELOAD", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_")


def tuned_environment(environment: Mapping[str, str]) -> dict[str, str] | None:
    """The environment with the settings; None where they do not help, are there already, or are not wanted."""
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return None
    if environment.get(OPT_OUT) == "default" or any(name in environment for name in (*TUNED, *_CHOSEN_ELSEWHERE)):
        return None
    return {**environment, **TUNED}


def restart_with_tuned_allocator() -> None:
    """Starts this command anew with the settings, in the same process; returns where there is nothing to do.

    Does nothing once torch is loaded: then this is not a command of its own.
    """
    environment = None if "torch" in sys.modules else tuned_environment(os.environ)
    if environment is not None and sys.executable:
        sys.stdout.flush()
        sys.stderr.flush()
        execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
