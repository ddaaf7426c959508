"""Reads the files of torch (with the endings .pt and .pth; in the zip format and in the older one) as data.

They are guarded twice: first the machine for pickles walks the file and checks names, shapes and sizes without taking
memory for them; then torch reads it, and only weights (`weights_only=True`).
"""

from __future__ import annotations

import argparse
import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import WeightsError
from .pickle_machine import BinaryFile, Global, PickleMachine, Stub
from .tensor_refs import ITEM_SIZES, SCALAR_NAMES, StorageRef, TensorNames
from .torch_extras import DTYPES, ExtraNames, inert_extras
from .torch_zip import ZipEntry, read_directory

ZIP_START = b"PK\x03\x04"
LEGACY_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""How torch files begin: a zip archive, or torch's older format (a pickle of a magic number)."""
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
MAX_PICKLE = 64 << 20  # bytes of a zip's data.pkl, which holds no tensors' numbers
MAX_NOTE = 1024  # bytes of what a zip holds beside: its version, the order of bytes
_OBJECTS = ("argparse.Namespace", "unsup3d.meters.MetricsTrace")
"""Objects with nothing but a state: saved options, and the course of unsup3d's training."""
_EXTRAS = {*_OBJECTS, "torch.device", "torch.Size", *(f"torch.{kind}" for kind in DTYPES)}


class TorchNames(ExtraNames):
    """What torch files may mention: tensors, and the harmless extras that training scripts save beside them."""

    allowed = ExtraNames.allowed | _EXTRAS | {f"torch.{kind}" for kind in ITEM_SIZES}

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[str, StorageRef] = {}

    def call(self, name: Global, arguments: tuple[Any, ...]) -> Any:
        """See `Names`."""
        if name.path == "torch.device":
            if not 1 <= len(arguments) <= 2 or not all(isinstance(a, str | int) for a in arguments):
                raise WeightsError("it is damaged: a torch.device that is none.")
            return ":".join(str(a) for a in arguments)
        if name.path == "torch.Size":
            return arguments
        return super().call(name, arguments)

    def new(self, name: Global, arguments: tuple[Any, ...]) -> Any:
        """See `Names`."""
        if name.path in _OBJECTS and not arguments:
            return Stub(name.path)
        return super().new(name, arguments)

    def persistent(self, identifier: Any) -> StorageRef:
        """See `Names`: ("storage", kind, key, device, numel), and None after it in the older format."""
        if not isinstance(identifier, tuple) or len(identifier) not in (5, 6) or identifier[0] != "storage":
            raise WeightsError("it stores something else than tensors outside its pickle. Do not trust this file.")
        _, kind, key, _, numel = identifier[:5]
        if len(identifier) == 6 and identifier[5] is not None:
            raise WeightsError("its storages are views of others; torch has not written such files since 2017.")
        name = kind.name if isinstance(kind, Global) and kind.module == "torch" else ""
        if name not in ITEM_SIZES or not isinstance(key, str) or type(numel) is not int or not 0 <= numel < 1 << 50:
            raise WeightsError("it is damaged: a storage that is not described properly.")
        storage = StorageRef(name, key, numel)
        if self.storages.setdefault(key, storage) != storage:
            raise WeightsError(f"it is damaged: storage {key[:40]} is described twice, differently.")
        return storage


def read_torch(path: Path) -> Any:
    """What a torch file holds; tensors of a zip file stay on disk until they are used.

    Raises:
        WeightsError: damaged, or something that no weights file does; the message does not name the file.
    """
    with open(path, "rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        zipped = file.read(4) == ZIP_START
        file.seek(0)
        if zipped:
            _check_zip(file, size)
        else:
            check_legacy(file, size)
            file.seek(0)
            return load_checked(file)
    return load_checked(path, mmap=True)


def load_checked(file: BinaryFile | Path, *, mmap: bool = False) -> Any:
    """`torch.load(weights_only=True)` of something that the checks here have passed already.

    Raises:
        WeightsError: torch cannot read it.
    """
    try:
        with _harmless_extras():
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    except MemoryError as error:
        raise WeightsError("there is not enough memory to read it. Close other programs.") from error
    except Exception as error:  # torch's readers raise nearly everything at damaged files
        raise WeightsError(f"torch cannot read it ({_short(error)}). Copy or download it again.") from error


def check_legacy(file: BinaryFile, end: int) -> TorchNames:
    """Checks a file of torch's older format, from the present position to `end`.

    Raises:
        WeightsError: damaged, or something that no weights file does.
    """
    names = TorchNames()
    magic, protocol, system = (PickleMachine(file, end, TensorNames()).load() for _ in range(3))
    if magic != LEGACY_MAGIC or protocol != LEGACY_PROTOCOL or not isinstance(system, dict):
        raise WeightsError("it is not a file that torch has written.")
    if system.get("little_endian") is not True:
        raise WeightsError("its numbers are not little-endian.")
    PickleMachine(file, end, names).load()
    keys = PickleMachine(file, end, TensorNames()).load()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise WeightsError("it is damaged: no list of its storages.")
    if set(keys) != set(names.storages):
        raise WeightsError("it is damaged: its storages are not those that its tensors use.")
    for key in keys:
        storage = names.storages[key]
        head = file.read(8)
        if len(head) != 8 or struct.unpack("<q", head)[0] != storage.numel:
            raise WeightsError(f"it is cut off or damaged at storage {key[:40]}. Copy or download it again.")
        length = storage.numel * ITEM_SIZES[storage.kind]
        if length > end - file.tell():
            raise WeightsError(
                f"it claims {length:,} bytes of numbers and has {end - file.tell():,}; it is cut off or damaged. "
                "Copy or download it again."
            )
        file.seek(length, io.SEEK_CUR)
    if end != file.tell():
        raise WeightsError(
            f"{end - file.tell():,} bytes follow its last storage; torch writes none. Copy or download it again."
        )
    return names


def _check_zip(file: BinaryFile, size: int) -> None:
    """Checks a file of torch's zip format."""
    entries = read_directory(file, size)
    roots = {name.split("/", 1)[0] for name in entries}
    root = next(iter(roots)) if len(roots) == 1 else ""
    pickled = entries.get(f"{root}/data.pkl")
    if pickled is None:
        raise WeightsError("it is a zip archive, but not one that torch has written (no data.pkl in it).")
    if any(name.startswith(f"{root}/code/") or name == f"{root}/constants.pkl" for name in entries):
        raise WeightsError("it is a TorchScript program, not weights. Get the file with the weights.")
    if pickled.length > MAX_PICKLE:
        raise WeightsError(f"its data.pkl has {pickled.length:,} bytes; weights files have less than {MAX_PICKLE:,}.")
    order = entries.get(f"{root}/byteorder")
    if order is not None and _content(file, order) != b"little":
        raise WeightsError("its numbers are not little-endian.")
    data = _content(file, pickled)
    names = TorchNames()
    machine = PickleMachine(io.BytesIO(data), len(data), names)
    machine.load()
    machine.check_end()
    stored = {f"{root}/data/{key}" for key in names.storages}
    for name, other in entries.items():
        if other.length > MAX_NOTE and name not in stored and other is not pickled:
            raise WeightsError(
                f"its entry {name[:60]!r} has {other.length:,} bytes that no tensor uses. Do not trust this file."
            )
    for key, storage in names.storages.items():
        entry = entries.get(f"{root}/data/{key}")
        length = storage.numel * ITEM_SIZES[storage.kind]
        if entry is None or entry.length != length:
            found = "nothing" if entry is None else f"{entry.length:,} bytes"
            raise WeightsError(f"it claims {length:,} bytes for storage {key[:40]} and has {found}; it is damaged.")


def _content(file: BinaryFile, entry: ZipEntry) -> bytes:
    """The bytes of a stored entry."""
    file.seek(entry.start)
    return file.read(min(entry.length, MAX_PICKLE))


@contextmanager
def _harmless_extras() -> Iterator[None]:
    """Lets `weights_only=True` read what training scripts save beside weights: plain objects, numbers of numpy."""
    scalar = np.float64(0).__reduce__()[0]
    dtypes = {type(np.dtype(code)) for code in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")}
    extras: list[Any] = [np.dtype, *dtypes, *((scalar, name) for name in SCALAR_NAMES)]
    extras += [(argparse.Namespace, name) for name in _OBJECTS]  # all of them become Namespaces
    extras += inert_extras()
    with torch.serialization.safe_globals(extras):
        yield


def _short(error: Exception) -> str:
    """The first line of an error, not too long."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:160]}" if text else type(error).__name__
