"""The module notebooks/build.py, by its path: under pytest the name `notebooks` means this folder's parent package."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from tests.notebooks.execute import ROOT


def load_builder() -> ModuleType:
    """A fresh copy of it."""
    spec = importlib.util.spec_from_file_location("notebook_builder", ROOT / "notebooks" / "build.py")
    if spec is None or spec.loader is None:
        raise RuntimeError("notebooks/build.py cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_builder()
