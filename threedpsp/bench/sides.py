"""The environments of what is compared."""

from __future__ import annotations

import os
from typing import Literal

from ..allocator import OPT_OUT
from ..precision import PRECISION_VARIABLE

Side = Literal["published", "published_tuned", "ours"]
SIDES: tuple[Side, ...] = ("published", "ours", "published_tuned")
"""published: the reference implementation in a default environment; published_tuned: that with the tuned allocator."""


def environment(side: Side, threads: int) -> dict[str, str]:
    """Variables of the process that runs a side."""
    cleared = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_") and name != OPT_OUT}
    ours = side == "ours"
    kernels = {"THREEDPSP_KERNELS": "auto" if ours else "published", PRECISION_VARIABLE: "auto" if ours else "float32"}
    allocator = {OPT_OUT: "default"} if side == "published" else {}
    return {**cleared, **kernels, **allocator, "OMP_NUM_THREADS": str(threads)}
