"""Finds recorded values of the published networks: small copies in tests/data, all in a folder beside the project."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(__file__).resolve().parent / "data"


def golden_dir() -> Path:
    """THREEDPSP_GOLDEN, else ../shared/golden beside the project (may not exist)."""
    return Path(os.environ.get("THREEDPSP_GOLDEN", ROOT.parent / "shared" / "golden"))


def golden_path(name: str) -> Path:
    """Path of a golden file; skips the calling test, with the reason, where it is absent."""
    for folder in (DATA, golden_dir()):
        if (folder / name).is_file():
            return folder / name
    pytest.skip(f"golden {name} is not in tests/data and {golden_dir()} does not have it (set THREEDPSP_GOLDEN)")


def load_golden(case: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of one case."""
    with safe_open(golden_path(f"{case}.safetensors"), "pt") as f:
        return {k: f.get_tensor(k) for k in f.keys()}, dict(f.metadata() or {})


def seeded_weights(manifest: str) -> dict[str, torch.Tensor]:
    """The weights that a golden case was recorded with, drawn again from its manifest."""
    path = golden_path("seeded_weights.py")
    spec = importlib.util.spec_from_file_location("seeded_weights", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawn: dict[str, Any] = module.seeded_state_dict(golden_path(manifest))
    return {name: torch.from_numpy(value) for name, value in drawn.items()}


def metadata_json(metadata: dict[str, str], key: str) -> Any:
    """A JSON value of the metadata."""
    return json.loads(metadata[key])


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """max|a - b| / max|b|."""
    return ((actual - expected).abs().max() / expected.abs().max().clamp_min(1e-12)).item()
