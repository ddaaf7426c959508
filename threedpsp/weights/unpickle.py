"""Reads EG3D's network pickles (.pkl) as data: the tree of modules, their settings, and where their tensors are.

Nothing of the file is imported, called or compiled; the source code that the file carries is dropped. Tensors are read
one at a time (`PickledTensors.read`): a file of hundreds of megabytes needs little more memory than its weights.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from .pickle_machine import Global, PickleMachine, Span, Stub
from .tensor_refs import ENCODE, StorageRef, TensorNames, TensorRef
from .torch_file import LEGACY_START, check_legacy, load_checked

RECONSTRUCT = "torch_utils.persistence._reconstruct_persistent_obj"
LOAD_BYTES = "torch.storage._load_from_bytes"
EASY_DICT = "dnnlib.util.EasyDict"
MAX_PARTS = 20_000  # modules and tensors; EG3D's networks have 400
MAX_NAME = 200  # letters in the name of a module or tensor
MAX_OVERHEAD = 4096  # bytes of a storage beside its numbers; it takes about 400
_STUBS = ("training.", "torch.nn.modules.")


class Eg3dNames(TensorNames):
    """What EG3D's network pickles may mention, and nothing else."""

    allowed = TensorNames.allowed - {ENCODE.path} | {RECONSTRUCT, LOAD_BYTES, EASY_DICT}

    def check(self, name: Global) -> None:
        """See `Names`."""
        if not _is_stub(name):
            super().check(name)

    def call(self, name: Global, arguments: tuple[Any, ...]) -> Any:
        """See `Names`."""
        if name.path == RECONSTRUCT:
            return _persistent(arguments)
        if name.path == LOAD_BYTES:
            data = arguments[0] if len(arguments) == 1 else None
            if not isinstance(data, Span):
                raise WeightsError("it is damaged: a storage without bytes.")
            return data
        return super().call(name, arguments)

    def new(self, name: Global, arguments: tuple[Any, ...]) -> Any:
        """See `Names`."""
        if name.path == EASY_DICT and not arguments:
            return {}
        if _is_stub(name) and not arguments:
            return Stub(name.name)
        return super().new(name, arguments)


def _is_stub(name: Global) -> bool:
    return "." not in name.name and name.path.startswith(_STUBS)


def _persistent(arguments: tuple[Any, ...]) -> Stub:
    """A network or layer of EG3D: the name of its class and its state; its source is dropped here."""
    meta = arguments[0] if len(arguments) == 1 else None
    if not isinstance(meta, dict) or meta.get("type") != "class" or not isinstance(meta.get("class_name"), str):
        raise WeightsError("it is damaged: a network without the name of its class.")
    state = meta.get("state")
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise WeightsError(f"it is damaged: its {meta['class_name'][:40]} has no state.")
    meta.pop("module_src", None)
    return Stub(meta["class_name"], state, built=True)


@dataclass
class PickledNetwork:
    """A module of the file and what is below it."""

    class_name: str
    attributes: dict[str, Any]
    tensors: dict[str, TensorRef] = field(default_factory=dict)
    children: dict[str, PickledNetwork] = field(default_factory=dict)

    def named_tensors(self, prefix: str = "") -> Iterator[tuple[str, TensorRef]]:
        """All parameters and buffers, by the names a state_dict has."""
        for name, tensor in self.tensors.items():
            yield prefix + name, tensor
        for name, child in self.children.items():
            yield from child.named_tensors(f"{prefix}{name}.")

    def find(self, path: str) -> PickledNetwork | None:
        """The module at a dotted path."""
        module: PickledNetwork | None = self
        for name in path.split("."):
            module = module.children.get(name) if module else None
        return module


def read_network(path: Path, key: str = "G_ema") -> PickledNetwork:
    """One network of an EG3D pickle; its tensors stay in the file.

    Raises:
        WeightsError: damaged, something that no network file does, or no such network; does not name the file.
    """
    with open(path, "rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        machine = PickleMachine(file, size, Eg3dNames())
        content = machine.load()
    if not isinstance(content, dict) or not isinstance(content.get(key), Stub):
        has = [str(k)[:40] for k in list(content)[:6]] if isinstance(content, dict) else [type(content).__name__]
        raise WeightsError(f"it is a pickle without a network {key!r} (it has: {', '.join(has) or 'nothing'}).")
    machine.check_end()
    return _network(content[key], depth=0, budget=[MAX_PARTS])


def _network(stub: Stub, depth: int, budget: list[int]) -> PickledNetwork:
    """The tree below a stub; `budget` counts its parts, so that a small file cannot describe an endless tree."""
    parts: dict[str, dict[str, Any]] = {}
    for part in ("_parameters", "_buffers", "_modules"):
        value = stub.state.get(part, {})
        if not isinstance(value, dict):
            raise WeightsError(f"it is damaged: {part} of its {stub.name[:40]} is a {type(value).__name__}.")
        budget[0] -= 1 + len(value)
        if depth > 20 or budget[0] < 0:
            raise WeightsError("its modules contain one another without end; it is damaged or made to deceive.")
        if not all(isinstance(name, str) and len(name) <= MAX_NAME for name in value):
            raise WeightsError(f"it is damaged: the name of a part of its {stub.name[:40]} is none.")
        parts[part] = {name: item for name, item in value.items() if item is not None}
    tensors = parts["_parameters"] | parts["_buffers"]
    for name, tensor in tensors.items():
        if not isinstance(tensor, TensorRef):
            raise WeightsError(f"it is damaged: {name[:60]} of its {stub.name[:40]} is no tensor.")
    for name, module in parts["_modules"].items():
        if not isinstance(module, Stub):
            raise WeightsError(f"it is damaged: {name[:60]} of its {stub.name[:40]} is no module.")
    children = {name: _network(module, depth + 1, budget) for name, module in parts["_modules"].items()}
    return PickledNetwork(stub.name, stub.state, tensors, children)


class PickledTensors:
    """Reads the tensors of one pickle, each when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, tensor: TensorRef) -> Tensor:
        """The numbers of one tensor, in memory of its own.

        Raises:
            WeightsError: the storage is damaged, hostile, or smaller than the tensor.
        """
        if not isinstance(tensor.storage, Span):
            raise WeightsError("it is damaged: a tensor outside the pickle.")
        if tensor.storage.length > 8 * tensor.numel + MAX_OVERHEAD:
            raise WeightsError(
                f"a tensor of {tensor.numel:,} numbers uses a part of a storage of {tensor.storage.length:,} bytes; "
                "EG3D stores every tensor by itself."
            )
        storage = self._storage(tensor.storage)
        tensor.check(len(storage))
        return torch.as_strided(storage, tensor.shape, tensor.stride, tensor.offset).clone(
            memory_format=torch.contiguous_format
        )

    def _storage(self, span: Span) -> Tensor:
        """A storage as a flat tensor: a whole torch file lies in the span."""
        with open(self.path, "rb") as file:
            file.seek(span.offset)
            nested = io.BytesIO(file.read(span.length))
        if nested.read(len(LEGACY_START)) != LEGACY_START:
            raise WeightsError("the storage of a tensor is not a torch file. Do not trust this file.")
        nested.seek(0)
        names = check_legacy(nested, span.length)
        if names.tensors or len(names.storages) != 1:
            raise WeightsError("the storage of a tensor is something else than numbers. Do not trust this file.")
        nested.seek(0)
        storage = load_checked(nested)
        if not isinstance(storage, torch.storage.TypedStorage):
            raise WeightsError("the storage of a tensor is something else than numbers. Do not trust this file.")
        kind = next(iter(names.storages.values()))
        return _flat(storage, kind)


def _flat(storage: torch.storage.TypedStorage, described: StorageRef) -> Tensor:
    """All numbers of a storage as a tensor of one dimension that shares its memory."""
    flat = torch.empty(0, dtype=storage.dtype)
    flat.set_(storage._untyped_storage, 0, (described.numel,), (1,))  # the public way warns
    return flat
