"""Bounds on configurations that come out of files: right types, and no size that no network has."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import InputError, WeightsError

MAX_SIZE = 1 << 16
MAX_COUNTS = {"mapping_layers": 64, "depths": 100, "input_resolution": 4096, "plane_resolution": 4096, "num_ws": 64}
"""Largest number in a setting: `MAX_SIZE`, or what stands here; these decide how many layers are made."""
_Config = TypeVar("_Config")


def config_from_file(build: Callable[[], _Config], default: _Config) -> _Config:
    """The configuration that `build` makes from values of a file, checked against a default one of the same class.

    Raises:
        WeightsError: it cannot be made, or a value has another type than the default's, or a size is impossible.
    """
    try:
        config = build()
    except (InputError, TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
        raise WeightsError(f"its settings do not make a network ({error}).") from error
    _check(config, default, "")
    return config


def _check(value: Any, default: Any, name: str) -> None:
    """Recursively, field by field."""
    if dataclasses.is_dataclass(default) and type(value) is type(default):
        for field in dataclasses.fields(default):
            _check(getattr(value, field.name), getattr(default, field.name), field.name)
    elif isinstance(default, tuple) and isinstance(value, tuple) and len(value) == len(default):
        for part, default_part in zip(value, default, strict=True):
            _check(part, default_part, name)
    elif not _fits(value, default, name):
        raise WeightsError(f"its setting {name} is {str(value)[:40]!r}, which no network has.")


def _fits(value: Any, default: Any, name: str) -> bool:
    """Whether a single value is of its default's type and within bounds."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int):
        return isinstance(value, int) and 0 <= value <= MAX_COUNTS.get(name, MAX_SIZE)
    if isinstance(default, str):
        return isinstance(value, str) and len(value) <= 40
    if default is None or isinstance(default, float):
        if value is None:
            return default is None or name.endswith("clamp")
        return value == "auto" if isinstance(value, str) else isinstance(value, float | int) and math.isfinite(value)
    return False
