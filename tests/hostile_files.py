"""Writes weights files that are hostile, broken or of something else."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import math
import os
import pickle
import re
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.official_files import (
    Persistent,
    network_state,
    settings_of,
    stub_modules,
    write_eg3d_pickle,
    write_encoder,
)
from threedpsp.eg3d.config import GeneratorConfig
from threedpsp.eg3d.generator import Generator
from threedpsp.encoder.config import EncoderConfig
from threedpsp.encoder.encoder import Encoder, build_encoder
from threedpsp.weights.encoder_state import SIGNATURE

HUNDRED_GB = 100_000_000_000
CONFIG = dataclasses.replace(
    GeneratorConfig(z_dim=8, w_dim=8, channel_max=2, neural_rendering_resolution=16)
).with_superresolution("2X")
ENCODER = EncoderConfig(
    depths=(1, 1, 1, 1), widths=(4, 4, 4, 4), fpn_width=4, w_dim=4, head_width=4, input_resolution=32, camera_features=2
)


class Call:
    """Pickled as a call: what a hostile file is made of."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.parts


@functools.cache
def generator_state() -> dict[str, torch.Tensor]:
    """Weights of a small generator of EG3D's kind."""
    torch.manual_seed(0)
    return dict(Generator(CONFIG).state_dict())


@functools.cache
def encoder_state() -> dict[str, torch.Tensor]:
    """Weights of a small encoder, without the counters of its normalisation."""
    return {n: t for n, t in build_encoder(ENCODER).state_dict().items() if not n.endswith("num_batches_tracked")}


def good_pickle(path: Path) -> Path:
    """A small .pkl that is as it should be."""
    return write_eg3d_pickle(path, CONFIG, generator_state())


def good_encoder(path: Path, *, legacy: bool = False) -> Path:
    """A small .pt of pSp's structure. Its trunk is not IR-SE50, so that it is recognised, with problems."""
    return write_encoder(path, encoder_state(), torch.zeros(1, 14, 4), legacy=legacy)


def run(command: str) -> Call:
    """os.system(command)."""
    return Call(os.system, command)


def pickled(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def shared_lists(levels: int = 40) -> list[Any]:
    """Lists of twice the same list: a few hundred bytes in a file, 2^40 numbers for whoever writes them out."""
    value: list[Any] = [0]
    for _ in range(levels):
        value = [value, value]
    return value


def with_attributes(path: Path, **attributes: Any) -> Path:
    """A .pkl whose generator has other attributes."""
    return write_eg3d_pickle(path, CONFIG, generator_state(), attributes=attributes)


def with_rendering(path: Path, **changed: Any) -> Path:
    """A .pkl with other rendering settings."""
    settings = settings_of(CONFIG, "2X")["rendering_kwargs"]
    return with_attributes(path, rendering_kwargs={**settings, **changed})


def name_of_lists(path: Path) -> Path:
    """A pickle that refers to a class whose name is made of shared lists."""
    lists = pickle.dumps(shared_lists(), 4).removesuffix(b".")
    return written(path, lists + b"\x8c\x01x\x93." + b" " * 20)


def getattr_chain(command: str) -> bytes:
    """getattr(__import__("os"), "system")(command)."""
    function = pickle.dumps(Call(getattr, Call(__import__, "os"), "system"), 2)[:-1]
    return function + b"X" + struct.pack("<I", len(command)) + command.encode() + b"\x85R."


def with_weights(path: Path, **changed: Any) -> Path:
    """A .pkl in which some weights are something else (None: absent)."""
    state: dict[str, Any] = dict(generator_state())
    for name, value in changed.items():
        state[name.replace("__", ".")] = value
    return write_eg3d_pickle(path, CONFIG, {n: v for n, v in state.items() if v is not None})


def with_settings(path: Path, old: bytes, new: bytes) -> Path:
    """A .pkl with some bytes replaced by as many others."""
    good_pickle(path)
    data = path.read_bytes()
    assert old in data and len(old) == len(new), "the file's structure has changed"
    path.write_bytes(data.replace(old, new))
    return path


def tensor_call(shape: tuple[int, ...], stride: tuple[int, ...], stored: int = 4, **metadata: Any) -> Call:
    """A tensor with a claimed shape over a few stored numbers."""
    storage = torch.zeros(stored)._typed_storage()
    also = (metadata,) if metadata else ()
    return Call(torch._utils._rebuild_tensor_v2, storage, 0, shape, stride, False, OrderedDict(), *also)


def nested_bytes(content: bytes, shape: tuple[int, ...] = (8,)) -> Call:
    """A tensor of one dimension whose storage has these bytes."""
    storage = Call(torch.storage._load_from_bytes, content)
    return Call(torch._utils._rebuild_tensor_v2, storage, 0, shape, (1,), False, OrderedDict())


def legacy_bytes(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def huge_storage() -> bytes:
    """A torch file that claims a storage of 100 GB."""
    data = legacy_bytes(torch.zeros(27)._typed_storage())
    huge = (HUNDRED_GB // 4).to_bytes(6, "little")
    return data.replace(b"K\x1bN", b"\x8a\x06" + huge + b"N").replace(struct.pack("<q", 27), huge + b"\0\0")


def with_huge_storage(data: bytes) -> bytes:
    """The pickle of a torch file, its first storage now 100 GB."""
    huge = b"\x8a\x06" + (HUNDRED_GB // 4).to_bytes(6, "little")
    changed, count = re.subn(rb"(?:K.|M..)t(q.|r....)Q", lambda m: huge + b"t" + m[1] + b"Q", data, count=1, flags=re.S)
    assert count == 1, "the file's structure has changed"
    return changed


def torch_file(path: Path, content: Any, *, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def rezipped(path: Path, change: Callable[[dict[str, bytes]], None], *, compress: bool = False) -> Path:
    """A small .pt with its entries changed."""
    good_encoder(path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def entry_named(end: str, content: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], None]:
    """Changes the bytes of the entry whose name ends so."""

    def change(entries: dict[str, bytes]) -> None:
        name = next(n for n in entries if n.endswith(end))
        entries[name] = content(entries[name])

    return change


def lying_zip(path: Path) -> Path:
    """A .pt whose directory claims 4 GB for one entry."""
    good_encoder(path)
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 20 : at + 28] = struct.pack("<LL", 0xFFFFFFF0, 0xFFFFFFF0)
    path.write_bytes(data)
    return path


def two_directories(path: Path, claimed: int) -> Path:
    """A .pt whose two directory ends disagree about the directory's size."""
    good_encoder(path)
    data = bytearray(path.read_bytes())
    end, place = data.rfind(b"PK\x05\x06"), data.rfind(b"PK\x06\x06")
    size, offset = struct.unpack_from("<LL", data, end + 12)
    record = data[place:end] if place >= 0 else zip64_end(size, offset, end)
    struct.pack_into("<Q", record, 40, claimed)
    path.write_bytes(data[: place if place >= 0 else end] + record + data[end:])
    return path


def zip64_end(size: int, offset: int, place: int) -> bytearray:
    """The end of a zip directory in the format for large files, and what points to it."""
    record = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, offset)
    return bytearray(record + struct.pack("<4sLQL", b"PK\x06\x07", 0, place, 1))


def shifted_zip(path: Path) -> Path:
    """A .pt with something before it, so that readers that allow for this see other entries than those that do not."""
    good_encoder(path)
    path.write_bytes(b"PK\x03\x04" + b"\0" * 60 + path.read_bytes())
    return path


def overlapping_zip(path: Path) -> Path:
    """A .pt in which two entries of the directory are the same bytes."""
    good_encoder(path)
    data = bytearray(path.read_bytes())
    first = data.find(b"PK\x01\x02")
    second = data.find(b"PK\x01\x02", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    path.write_bytes(data)
    return path


def cut(path: Path, fraction: float, make: Callable[[Path], Path] = good_pickle) -> Path:
    make(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    return path


def endless_modules(path: Path) -> Path:
    """A module that contains itself."""
    with stub_modules():
        # a network's state is written before the network, so the cycle goes through the dict of its modules
        children: dict[str, Any] = {}
        first = Persistent("TriPlaneGenerator", network_state({}, children))
        second = Persistent("Generator", network_state({}, children))
        children["again"] = second
        data = pickle.dumps({"G_ema": first}, 4)
    path.write_bytes(data)
    return path


def many_modules(path: Path) -> Path:
    """Forty levels of modules, each containing the next one twice: 2^40 of them."""
    with stub_modules():
        module = Persistent("Generator", network_state({}, {}))
        for _ in range(18):
            module = Persistent("Generator", network_state({}, {str(i): module for i in range(8)}))
        data = pickle.dumps({"G_ema": Persistent("TriPlaneGenerator", network_state({}, {"backbone": module}))}, 4)
    path.write_bytes(data)
    return path


def network_of(path: Path, root: dict[str, Any]) -> Path:
    """A .pkl with these modules below its network."""
    with stub_modules():
        data = pickle.dumps({"G_ema": Persistent("TriPlaneGenerator", network_state({}, root))}, 4)
    path.write_bytes(data)
    return path


def module(tensors: dict[str, Any], children: dict[str, Any]) -> Persistent:
    return Persistent("Generator", network_state(tensors, children))


def shared_tensors(path: Path) -> Path:
    """Fifteen modules of the same thousand modules of the same thousand tensors."""
    leaf = module({f"p{i}": torch.zeros(1) for i in range(1000)}, {})
    middle = module({}, {str(i): leaf for i in range(1000)})
    return network_of(path, {str(i): middle for i in range(15)})


def long_names(path: Path) -> Path:
    """Hundreds of tensors below a module whose name is four million letters long."""
    return with_weights(path, **{f"{'x' * 4_000_000}__p{i}": torch.zeros(1) for i in range(500)})


def one_storage(path: Path) -> Path:
    """A .pkl of 15 MB whose 64 layers of 4 MB are all the same."""
    config = dataclasses.replace(CONFIG, mapping_layers=64, z_dim=1024, w_dim=1024)
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in Generator(config).state_dict().items()}
    storages = {n: torch.zeros(n)._typed_storage() for n in {math.prod(shape) for shape in shapes.values()}}
    state = {name: view_call(storages[math.prod(shape)], shape) for name, shape in shapes.items()}
    return write_eg3d_pickle(path, config, state)


def one_storage_pt(path: Path) -> Path:
    """A .pt of 10 MB that repeats its numbers as all weights of 3DpSp's encoder."""
    with torch.device("meta"):
        shapes = {name: t.shape for name, t in Encoder(EncoderConfig()).state_dict().items()}
    numbers = torch.zeros(max(shape.numel() for shape in shapes.values()))
    return torch_file(path, {name: numbers[: shape.numel()].view(shape) for name, shape in shapes.items()})


def large_storage(path: Path) -> Path:
    """A .pkl whose tensors are all at the beginning of one storage of 40 MB."""
    storage = torch.zeros(10_000_000)._typed_storage()
    return write_eg3d_pickle(
        path, CONFIG, {n: view_call(storage, tuple(t.shape)) for n, t in generator_state().items()}
    )


def view_call(storage: Any, shape: tuple[int, ...]) -> Call:
    """A tensor at the beginning of a storage."""
    stride = tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
    return Call(torch._utils._rebuild_tensor_v2, storage, 0, shape, stride, False, OrderedDict())


def flat_encoder(path: Path, *shape: int) -> Path:
    """A .pt with the names of an encoder, whose weights have a shape that no encoder's have."""
    return torch_file(path, dict.fromkeys(encoder_state(), torch.zeros(shape)))


def our_encoder(path: Path, **settings: Any) -> Path:
    """An encoder's file of ours with other settings."""
    metadata = {"kind": "encoder", "config": json.dumps({**ENCODER.to_dict(), **settings})}
    save_file({name: t.contiguous() for name, t in encoder_state().items()}, path, metadata)
    return path


def many_heads(path: Path) -> Path:
    """An encoder of 999 heads among 20,000 tensors."""
    tensor = torch.zeros(1)
    state = {name: encoder_state()[name] for name in SIGNATURE}
    state |= {f"styles.{i}.convs.{j}.weight": tensor for i in range(999) for j in range(20)}
    return torch_file(path, state)


def safetensors_file(path: Path, header: bytes, data: bytes = b"", claimed: int | None = None) -> Path:
    path.write_bytes(struct.pack("<Q", len(header) if claimed is None else claimed) + header + data)
    return path


def our_generator(path: Path, **settings: Any) -> Path:
    """A file of ours with settings that no network has."""
    return our_file(path, json.dumps({**CONFIG.to_dict(), **settings}))


def our_file(path: Path, config: str) -> Path:
    """A generator's file of ours with this text as its configuration."""
    save_file(generator_state(), path, {"kind": "generator", "config": config})
    return path


def with_nan(tensor: torch.Tensor, value: float = float("nan")) -> torch.Tensor:
    changed = tensor.clone()
    changed.view(-1)[0] = value
    return changed


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path
