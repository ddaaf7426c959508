"""glibc gives every large tensor's memory back at once and fetches it anew: a fifth of a large picture's time.

It can be told to keep what was freed for the next one. That helps the main thread (commands, notebooks, scripts). Other
threads, such as the one in which ComfyUI runs nodes, have pools of their own, from which glibc takes nothing larger
than 64 MB whatever it is told; there nothing is changed.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
from functools import cache

OPT_OUT = "THREEDPSP_ALLOCATOR"
"""The variable that, as "default", leaves everything as it is."""
_CHOICES = ("GLIBC_TUNABLES", "LD_PRELOAD", "MALLOC_")
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


def keep_freed_memory() -> bool:
    """From now on this process makes large tensors of the memory that others left, and keeps what it once used.

    Returns:
        Whether it is so. Not outside the main thread, without glibc, or where the user chose something else.
    """
    return threading.current_thread() is threading.main_thread() and _tuned()


@cache
def _tuned() -> bool:
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    if os.environ.get(OPT_OUT) == "default" or any(name.startswith(_CHOICES) for name in os.environ):
        return False
    try:
        import cffi
    except ImportError:
        return False
    ffi = cffi.FFI()
    ffi.cdef("int mallopt(int, int);")
    libc = ffi.dlopen(None)
    return all([libc.mallopt(_M_MMAP_MAX, 0), libc.mallopt(_M_TRIM_THRESHOLD, -1)])
