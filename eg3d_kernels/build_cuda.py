"""Compiles csrc/*.cu with nvcc into the same cache, for the graphics cards it names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .build import CSRC, made_once, ninja_rules, version
from .errors import KernelUnavailableError

ARCHITECTURES = (80, 86, 89, 90)
"""Compute capabilities, times ten, that have code of their own; newer cards translate that of the last one."""

NVCC_VARIABLE = "THREEDPSP_NVCC"


def build_cuda() -> Path:
    """Path of the library for graphics cards, compiling it unless the cache has it; needs no card.

    Raises:
        KernelUnavailableError: no nvcc, or as `build.build`.
    """
    nvcc = find_nvcc()
    # The runtime is linked in, so that it does not matter which one torch has brought: the two meet in the driver,
    # which gives both the same context of a device, and streams are valid in both.
    link_flags = ["-shared", "-cudart", "static"]
    flags = compile_flags()
    sources = sorted(CSRC.glob("*_cuda.cu"))
    rules = ninja_rules([nvcc, *flags, "-c"], [nvcc], link_flags, sources)
    return made_once(rules, [nvcc, version(nvcc), *flags, *link_flags])


def compile_flags() -> list[str]:
    """Flags of nvcc."""
    targets = [f"arch=compute_{number},code=sm_{number}" for number in ARCHITECTURES]
    targets.append(f"arch=compute_{ARCHITECTURES[-1]},code=compute_{ARCHITECTURES[-1]}")
    gencode = [word for target in targets for word in ("-gencode", target)]
    # 1675: pragmas that are for the compiler of processors. Device code may call what is constexpr: std::max.
    host = [] if os.name == "nt" else ["-Xcompiler", "-fPIC"]
    return ["-std=c++17", "-O3", "--expt-relaxed-constexpr", "-diag-suppress", "1675", *host, *gencode]


def find_nvcc() -> str:
    """The compiler for graphics cards: what the variable names, else the one on the path, else that of the toolkit.

    Raises:
        KernelUnavailableError: there is none.
    """
    if asked := os.environ.get(NVCC_VARIABLE):
        if found := shutil.which(asked):
            return found
        raise KernelUnavailableError(f"no CUDA compiler ({NVCC_VARIABLE}={asked} does not exist); name one that does.")
    folders = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    for path in (None, *(str(Path(folder, "bin")) for folder in folders if folder)):
        if found := shutil.which("nvcc", path=path):
            return found
    raise KernelUnavailableError(
        "no compiler for graphics cards (nvcc is not on the path); install the toolkit that has it, of NVIDIA."
    )
