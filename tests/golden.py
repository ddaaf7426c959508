"""Finds recorded values of the published networks: small copies in tests/data, all in a folder beside the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.parity.case import drawn_weights, read_case
from tests.parity.measure import relative_error

__all__ = ["golden_case_names", "golden_dir", "golden_path", "load_golden", "relative_error", "seeded_weights"]

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


def golden_case_names() -> list[str]:
    """Every case that is there to be run whole, by name: the folder's, and the copies in tests/data."""
    whole = {"camera_math", "eg3d_cars128_small", "ranger", "renderer_small"}
    return sorted(whole | {path.stem for path in golden_dir().glob("*.safetensors")})


def load_golden(case: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of one case."""
    found = read_case(golden_path(f"{case}.safetensors"))
    return found.tensors, found.metadata


def seeded_weights(manifest: str) -> dict[str, torch.Tensor]:
    """The weights that a golden case was recorded with, drawn again from its manifest."""
    return drawn_weights(golden_path(manifest))
