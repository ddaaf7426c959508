"""The sources for graphics cards, compiled for the host: a launch is a loop over the blocks and threads of its grid."""

from __future__ import annotations

from pathlib import Path

from eg3d_kernels import _backend
from eg3d_kernels.build import CSRC, made_once, ninja_rules, toolchain
from eg3d_kernels.cuda.library import HEADERS

WORKSPACE = 40_000
"""Floats; so few that the rays of a test are taken in several blocks."""


def build_emulated() -> Path:
    """Path of the library, which has the same functions as the one that nvcc makes."""
    compiler, _, _ = toolchain()
    flags = ["-std=c++17", "-O1", "-fPIC", f"-DEG3D_WORKSPACE={WORKSPACE}", "-x", "c++"]
    link_flags = ["-shared"]
    rules = ninja_rules([compiler, *flags, "-c"], [compiler], link_flags, sorted(CSRC.glob("*_cuda.cu")))
    return made_once(rules, [compiler, "emulated", *flags, *link_flags])


def load_emulated() -> _backend.Library:
    """The library, compiled where the cache lacks it."""
    return _backend.load(build_emulated(), *HEADERS)
