"""Starts ComfyUI where torchvision and torchaudio do not match the installed torch. Runs in ComfyUI's environment.

    python launcher.py COMFYUI_FOLDER [ComfyUI's arguments]

THREEDPSP_TEST_WITHOUT names modules and programs, parted by commas, that are then not to be had, as if never installed:
neither their import, nor the files of the package of that name, nor a program of that name.
"""

from __future__ import annotations

import ctypes
import importlib.abc
import importlib.machinery
import importlib.metadata
import os
import runpy
import shutil
import signal
import sys
import types
from typing import Any

import torch

PR_SET_PDEATHSIG = 1  # Linux: the signal that this process gets when the one that started it has ended

_LIBRARY = torch.library.Library("torchvision", "DEF")  # goes away with this object


class _StandIn(types.ModuleType):
    """A module of which anything can be imported and nothing used: no workflow of ours makes sound."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _Missing(importlib.abc.MetaPathFinder):
    """Says of chosen modules that there are none."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Raises what a missing module raises; None leaves the search to others."""
        if fullname.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named '{fullname}'", name=fullname)


def _hide(names: set[str]) -> None:
    """Makes modules, packages and programs missing in this process."""
    sys.meta_path.insert(0, _Missing(names))
    find_package, find_program = importlib.metadata.Distribution.from_name, shutil.which

    def from_name(name: str) -> importlib.metadata.Distribution:
        if name.replace("-", "_").lower() in names:
            raise importlib.metadata.PackageNotFoundError(name)
        return find_package(name)

    def which(program: str, *arguments: Any, **options: Any) -> str | None:
        return None if program in names else find_program(program, *arguments, **options)

    importlib.metadata.Distribution.from_name = from_name
    shutil.which = which


def main() -> None:
    """Prepares this process, then becomes ComfyUI."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # a test run that is killed leaves no server behind
    # torchvision, linked against another build of torch, fails at its import where these operators are not known.
    for operator in ("nms", "qnms"):
        _LIBRARY.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for name in ("torchaudio", "torchaudio.transforms", "torchaudio.functional"):
        sys.modules[name] = _StandIn(name)
    sys.modules["torchaudio"].transforms = sys.modules["torchaudio.transforms"]
    sys.modules["torchaudio"].functional = sys.modules["torchaudio.functional"]

    without = {name for name in os.environ.get("THREEDPSP_TEST_WITHOUT", "").split(",") if name}
    if without:
        _hide(without)

    folder = sys.argv[1]
    sys.argv = ["main.py", *sys.argv[2:]]
    os.chdir(folder)
    sys.path[0] = folder
    runpy.run_path("main.py", run_name="__main__")


if __name__ == "__main__":
    main()
