"""Plain Python values that training scripts save beside weights: sets, paths, counters, arrays. Nobody needs them here.

They are let through as objects that hold nothing, so that a file is not refused for the settings beside its weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import WeightsError
from .pickle_machine import Global, plain_key
from .tensor_refs import DtypeRef, TensorNames

DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
"""torch's kinds of numbers, which a file may name."""
MAX_ITEMS = 100_000  # values in all sets and counters of a file
_SETS = frozenset(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "frozenset"))
_DICTS = frozenset({"collections.defaultdict", "collections.Counter"})
_FACTORIES = frozenset(
    f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("list", "dict", "int", "float", "str")
)
"""What a defaultdict makes its values of; only ever mentioned."""
_PATHS = frozenset(
    f"{module}.{name}"
    for module in ("pathlib", "pathlib._local")
    for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path", "PurePath")
)
_ARRAYS = frozenset({"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"})
_ARRAY_CLASS = "numpy.ndarray"


class Inert:
    """Stands for an extra; takes whatever it is made of, and holds nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        """Nothing of it is kept."""


def plain_dict(*_: Any) -> dict[Any, Any]:
    """Stands for making a dict of another class, because torch fills no dicts of ours; its items come after it."""
    return {}


class ExtraNames(TensorNames):
    """Tensors, and these extras."""

    allowed = TensorNames.allowed | _SETS | _DICTS | _FACTORIES | _PATHS | _ARRAYS | {_ARRAY_CLASS}

    def __init__(self) -> None:
        super().__init__()
        self._items = 0

    def call(self, name: Global, arguments: tuple[Any, ...]) -> Any:
        """See `Names`."""
        path = name.path
        if path in _SETS:
            self._check_set(arguments)
            return Inert()
        if path in _DICTS:
            self._check_dict(arguments)
            return {}
        if path in _PATHS:
            if not all(isinstance(part, str) for part in arguments):
                raise WeightsError("it is damaged: a path that is no text.")
            return Inert()
        if path in _ARRAYS:
            return _Array()
        return super().call(name, arguments)

    def build(self, target: Any, state: Any) -> None:
        """See `Names`."""
        if not isinstance(target, _Array):
            super().build(target, state)
        elif not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], DtypeRef):
            raise WeightsError("it holds an array of something else than numbers. Do not trust this file.")

    def _check_set(self, arguments: tuple[Any, ...]) -> None:
        values = arguments[0] if len(arguments) == 1 else None
        if not isinstance(values, list):
            raise WeightsError("it is damaged: a set of something else than values.")
        self._count(len(values))
        for value in values:
            plain_key(value)

    def _check_dict(self, arguments: tuple[Any, ...]) -> None:
        """A factory, or what is counted."""
        only = arguments[0] if len(arguments) == 1 else None
        if isinstance(only, dict):
            self._count(len(only))
        elif arguments and not (isinstance(only, Global) and only.path in _FACTORIES):
            raise WeightsError("it is damaged: a dict made of something else than items.")

    def _count(self, items: int) -> None:
        self._items += items
        if self._items > MAX_ITEMS:
            raise WeightsError(f"its sets have more than {MAX_ITEMS:,} values; real weights files have fewer.")


class _Array(Inert):
    """Stands for an array of numpy."""


def inert_extras() -> list[tuple[Callable[..., Any], str]]:
    """What `torch.load(weights_only=True)` is to take for each of these names."""
    extras: list[tuple[Callable[..., Any], str]] = [(plain_dict, name) for name in sorted(_DICTS)]
    extras += [(Inert, name) for name in sorted(_SETS | _FACTORIES | _PATHS | _ARRAYS | {_ARRAY_CLASS})]
    return extras
