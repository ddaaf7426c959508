"""Bounds on configurations that come out of files: right types, and no size that no network has."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import InputError, WeightsError

MAX_SIZE = 1 << 16
MAX_COUNTS = {
    **{"mapping_layers": 64, "depths": 100, "num_ws": 64},
    **{"input_resolution": 1024, "plane_resolution": 1024, "img_resolution": 2048, "sr_resolution": 1024},
    **{"neural_rendering_resolution": 512, "depth_resolution": 512, "depth_resolution_importance": 512},
}
"""Largest number in a setting: `MAX_SIZE`, or what stands here; these decide how many layers are made, and how many
points are computed that no stored weight pays for."""
POSITIVE = ("ray_start", "box_warp", "camera_radius")
"""Fractions that are greater than 0."""
MAY_BE_ZERO = ("camera_features", "depth_resolution_importance")
"""Counts that switch something off; every other one is at least 1."""
SIZE_ERRORS = (InputError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError)
"""What building a network of impossible sizes raises."""
MAX_NUMBER = 1 << 24
MAX_TEXT = 200
MAX_LIST = 16
"""Bounds on a single plain value of a file, before it is known what it is for."""
_Config = TypeVar("_Config")


def printable(text: object, keep: str = "") -> str:
    """A text as one line that a terminal shows and never obeys.

    What is no visible character (ends of lines, escapes, halves of characters) is written as Python writes it.

    Args:
        text: of a file, or about it.
        keep: characters that stay as they are, a new line for example.
    """
    shown = (c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in str(text))
    return "".join(shown)


def plain_settings(settings: dict[Any, Any], name: str) -> dict[str, Any]:
    """Settings of a file, if they are plain values, short lists of them, and dicts of both.

    To be called before anything compares or writes out the values: a pickle of a thousand bytes can hold lists in
    lists that would take 2^40 numbers to write.

    Raises:
        WeightsError: a value is something else.
    """
    for key, value in settings.items():
        parts = value if isinstance(value, dict) else {key: value}
        if len(parts) > 1000 or not all(_is_name(k) and _is_plain(v) for k, v in (*parts.items(), (key, None))):
            raise WeightsError(f"its {name} hold {str(key)[:MAX_TEXT]!r}, which is no setting of a network.")
    return settings


def _is_name(key: Any) -> bool:
    return isinstance(key, str) and len(key) <= MAX_TEXT


def _is_plain(value: Any) -> bool:
    """Whether it is a number or text of ordinary size, nothing, or a short list of such."""
    parts = value if isinstance(value, list | tuple) else (value,)
    return len(parts) <= MAX_LIST and all(
        part is None
        or (isinstance(part, str) and len(part) <= MAX_TEXT)
        or (isinstance(part, int) and abs(part) <= MAX_NUMBER)
        or isinstance(part, float)
        for part in parts
    )


def config_from_file(build: Callable[[], _Config], default: _Config) -> _Config:
    """The configuration that `build` makes from values of a file, checked against a default one of the same class.

    Raises:
        WeightsError: it cannot be made, or a value has another type than the default's, or a size is impossible.
    """
    try:
        config = build()
    except SIZE_ERRORS as error:
        raise WeightsError(f"its settings do not make a network ({error}).") from error
    _check(config, default, "")
    return config


def _check(value: Any, default: Any, name: str) -> None:
    """Recursively, field by field."""
    if dataclasses.is_dataclass(default) and type(value) is type(default):
        for field in dataclasses.fields(default):
            _check(vars(value)[field.name], vars(default)[field.name], field.name)
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
        return isinstance(value, int) and (name not in MAY_BE_ZERO) <= value <= MAX_COUNTS.get(name, MAX_SIZE)
    if isinstance(default, str):
        return isinstance(value, str) and len(value) <= 40
    if default is None or isinstance(default, float):
        if value is None:
            return default is None or name.endswith("clamp")
        if isinstance(value, str):
            return value == "auto" and name in ("ray_start", "ray_end")
        return isinstance(value, float | int) and math.isfinite(value) and (name not in POSITIVE or value > 0)
    return False
