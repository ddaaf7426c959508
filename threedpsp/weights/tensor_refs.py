"""Tensors as a pickle describes them: shapes and places, checked before any memory is taken for them."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import Any

from ..errors import WeightsError
from .pickle_machine import Global, Names, Span

ITEM_SIZES = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}
"""Bytes per number of each kind of storage that weights files use."""
MAX_EXPANDED = 1 << 20  # numbers in a tensor that repeats a smaller storage (a mean latent, say)

_FLAGS_OF_DTYPE = (3, None, None, None, -1, -1, 0)
_DTYPE = r"[bifu][1248]"
_NUMPY_FORMAT = {
    **{"i1": "b", "i2": "h", "i4": "i", "i8": "q"},
    **{"u1": "B", "u2": "H", "u4": "I", "u8": "Q"},
    **{"f2": "e", "f4": "f", "f8": "d"},
}
_OBJECT_NAMES = {"torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"}
ENCODE = Global("_codecs", "encode")
"""With a text and "latin1": how protocol 2 writes bytes."""
SCALAR_NAMES = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")


@dataclass(frozen=True)
class StorageRef:
    """Numbers of one kind, somewhere in the file."""

    kind: str
    key: str
    numel: int


@dataclass(frozen=True)
class TensorRef:
    """A view of a storage: a `StorageRef`, or the `Span` of a torch file inside the pickle."""

    storage: StorageRef | Span
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def numel(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    def check(self, storage_numel: int) -> None:
        """Raises WeightsError unless the view lies inside a storage of so many numbers, without blowing it up."""
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        if self.numel and last >= storage_numel:
            raise WeightsError(
                f"it claims a tensor of shape {list(self.shape)}, but stores only {storage_numel:,} numbers for it."
            )
        if self.numel > max(storage_numel, MAX_EXPANDED):
            raise WeightsError(
                f"it claims a tensor of shape {list(self.shape)} that repeats {storage_numel:,} stored numbers; "
                "weights files store their weights in full."
            )


@dataclass
class DtypeRef:
    """numpy.dtype of a plain number, by its code ("f8")."""

    code: str
    order: str = "<"


class TensorNames(Names):
    """What all weights files use: ordered dicts, tensors, parameters and single numbers of numpy."""

    allowed = frozenset({"collections.OrderedDict", "numpy.dtype", ENCODE.path, *SCALAR_NAMES, *_OBJECT_NAMES})

    def __init__(self) -> None:
        self.tensors: list[TensorRef] = []

    def check(self, name: Global) -> None:
        """See `Names`."""
        if name.path not in self.allowed:
            super().check(name)

    def call(self, name: Global, arguments: tuple[Any, ...]) -> Any:
        """See `Names`."""
        path = name.path
        if path == "collections.OrderedDict":
            return _ordered_dict(arguments)
        if path == "torch._utils._rebuild_tensor_v2":
            return self._tensor(arguments)
        if path == "torch._utils._rebuild_parameter":
            if not arguments or not isinstance(arguments[0], TensorRef):
                raise WeightsError("it is damaged: a parameter without a tensor.")
            _check_bare(arguments[1:])
            return arguments[0]
        if path == "numpy.dtype":
            return _dtype(arguments)
        if path in SCALAR_NAMES:
            return _scalar(arguments)
        if path == ENCODE.path:
            return _encoded(arguments)
        return super().call(name, arguments)

    def build(self, target: Any, state: Any) -> None:
        """See `Names`."""
        if isinstance(target, DtypeRef):
            if not isinstance(state, tuple) or len(state) != 8 or (state[0], *state[2:]) != _FLAGS_OF_DTYPE:
                raise WeightsError("it describes a kind of number that no weights file has.")
            if state[1] not in ("<", "|"):
                raise WeightsError("its numbers are not little-endian.")
        elif isinstance(target, dict) and isinstance(state, dict):
            return  # the versions that torch keeps beside a state_dict; not needed
        else:
            super().build(target, state)

    def _tensor(self, arguments: tuple[Any, ...]) -> TensorRef:
        storage, offset, shape, stride = arguments[:4] if len(arguments) >= 4 else (None, 0, (), ())
        if not isinstance(storage, StorageRef | Span) or not all(map(_sizes, ((offset,), shape, stride))):
            raise WeightsError("it is damaged: a tensor without a place or a shape.")
        _check_bare(arguments[4:])
        if len(shape) != len(stride):
            raise WeightsError(f"it is damaged: a tensor of shape {list(shape)} with strides {list(stride)}.")
        tensor = TensorRef(storage, offset, shape, stride)
        # A span's exact numbers are known only when it is read; a number takes at least one byte.
        tensor.check(storage.numel if isinstance(storage, StorageRef) else storage.length)
        self.tensors.append(tensor)
        return tensor


def _check_bare(arguments: tuple[Any, ...]) -> None:
    """Raises WeightsError unless what follows a tensor says whether it was trained, and has no hooks."""
    if len(arguments) > 2 or not all(isinstance(a, bool) or (isinstance(a, dict) and not a) for a in arguments):
        raise WeightsError("it holds more than a tensor where a tensor should be. Do not trust this file.")


def _sizes(values: Any) -> bool:
    """Whether it is a tuple of a few whole numbers that are not negative."""
    return (
        isinstance(values, tuple)
        and len(values) <= 8
        and all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 1 << 62 for v in values)
    )


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    if arguments not in ((), ([],)):
        raise WeightsError("it is damaged: an ordered dict made of something else.")
    return {}


def _dtype(arguments: tuple[Any, ...]) -> DtypeRef:
    code = arguments[0] if arguments else None
    if not isinstance(code, str) or not re.fullmatch(_DTYPE, code) or not all(_is_flag(a) for a in arguments[1:]):
        raise WeightsError("it describes a kind of number that no weights file has.")
    return DtypeRef(code)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | int) and value in (0, 1)


def _scalar(arguments: tuple[Any, ...]) -> int | float | bool:
    dtype, data = arguments if len(arguments) == 2 else (None, None)
    if not isinstance(dtype, DtypeRef) or not isinstance(data, bytes) or len(data) != int(dtype.code[1]):
        raise WeightsError("it is damaged: a number of numpy without its bytes.")
    if dtype.code == "b1":
        return data != b"\0"
    layout = _NUMPY_FORMAT.get(dtype.code)
    if layout is None:
        raise WeightsError("it describes a kind of number that no weights file has.")
    value: int | float = struct.unpack("<" + layout, data)[0]
    return value


def _encoded(arguments: tuple[Any, ...]) -> bytes:
    """The bytes that were written as Latin-1 text."""
    text, code = arguments if len(arguments) == 2 else (None, None)
    if not isinstance(text, str) or code != "latin1":
        raise WeightsError("it is damaged: bytes that are not bytes.")
    try:
        return text.encode("latin1")
    except UnicodeEncodeError as error:
        raise WeightsError("it is damaged: bytes that are not bytes.") from error
