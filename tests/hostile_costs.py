"""Weights files that are small, or look small, and cost much: to hash, to show, to read, or to render with."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.hostile_files import (
    entry_named,
    good_encoder,
    good_pickle,
    our_generator,
    rezipped,
    safetensors_file,
    torch_file,
    with_rendering,
)
from threedpsp.eg3d.config import RenderConfig

TWENTY_GB = 20 << 30
SPARSE = 1500 << 20  # bytes of an entry that takes no room on the disk


def unicode(text: str) -> bytes:
    """A text in a pickle."""
    data = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def long_keys(count: int = 3000) -> bytes:
    """Keys and values for a dict: tuples of seven times the same text of 4 MB, and a number."""
    text = unicode("s") + unicode("a" * ((4 << 20) - 1)) + b"q\xfe"
    keys = (b"(" + b"h\xfe" * 7 + b"M" + struct.pack("<H", i) + b"tK\x01" for i in range(count))
    return b"(" + text + b"".join(keys) + b"u"


def key_bomb(path: Path) -> Path:
    """A .pt whose dict has keys that take 84 GB to write out."""
    return rezipped(path, entry_named("data.pkl", lambda _: b"\x80\x02}" + long_keys() + b"."))


def key_bomb_in_options(path: Path) -> Path:
    """The same among the settings saved beside an encoder."""
    bomb = unicode("opts") + b"}" + long_keys() + b"s."
    return rezipped(path, entry_named("data.pkl", lambda data: data[:-1] + bomb))


def odd_key(path: Path, key: str) -> Path:
    """A .pt with one name, which is no text for a terminal."""
    return rezipped(path, entry_named("data.pkl", lambda _: b"\x80\x02}" + unicode(key) + b"Ns."))


def with_tail(path: Path, make: Callable[[Path], Path], size: int = TWENTY_GB) -> Path:
    """A good file made longer; the rest is not on the disk."""
    make(path)
    os.truncate(path, size)
    return path


def sparse_zip(path: Path, entry: str) -> Path:
    """A small .pt with a large entry of zeros that are not on the disk; `entry`: its name below the root."""
    good_encoder(path)
    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].split("/")[0]
        entries: dict[str, Any] = {name: archive.read(name) for name in archive.namelist()}
    entries[f"{root}/{entry}"] = SPARSE
    with open(path, "wb") as file:
        directory = b"".join(_entry(file, name.encode(), data) for name, data in entries.items())
        start = file.tell()
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), start, 0)
        file.write(directory + end)
    return path


def _entry(file: io.BufferedWriter, name: bytes, data: bytes | int) -> bytes:
    """Writes an entry (a number: so many zeros); returns its line of the directory."""
    at = file.tell()
    length, check = (data, 0) if isinstance(data, int) else (len(data), zlib.crc32(data))
    file.write(struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, check, length, length, len(name), 0) + name)
    file.seek(data, os.SEEK_CUR) if isinstance(data, int) else file.write(data)
    sizes = (check, length, length, len(name), 0, 0, 0, 0, 0, at)
    return struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, *sizes) + name


def gap_in_zip(path: Path) -> Path:
    """A .pt whose directory comes 1.5 GB after its entries; the room between is not on the disk."""
    good_encoder(path)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
        count = len(archive.namelist())
    end = data.index(b"PK\x06\x06", start) if b"PK\x06\x06" in data[start:] else data.rindex(b"PK\5\6")
    with open(path, "wb") as file:
        file.write(data[:start])
        file.seek(start + SPARSE)
        file.write(data[start:end])
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, end - start, start + SPARSE, 0))
    return path


def same_name_in_capitals(path: Path) -> Path:
    """A .pt with data.pkl and DATA.PKL, which torch's reader does not tell apart."""
    other = b"\x80\x02}" + unicode("x") + b"Ns."

    def add(entries: dict[str, bytes]) -> None:
        entries[next(iter(entries)).split("/")[0] + "/DATA.PKL"] = other

    return rezipped(path, add)


def many_tensors(path: Path) -> Path:
    """A safetensors file of 200,000 tensors without a number."""
    header = {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(200_000)}
    return safetensors_file(path, json.dumps(header, separators=(",", ":")).encode())


def our_rendering(path: Path, **settings: Any) -> Path:
    """A generator's file of ours that renders in another way."""
    return our_generator(path, rendering={**RenderConfig().__dict__, **settings})


def large_options(path: Path) -> Path:
    """A .pt with a hundred thousand settings, and no network."""
    return torch_file(path, {"opts": {f"option{i}": "x" * 9 for i in range(40_000)}, "x": torch.zeros(1)})


RENDERINGS: dict[str, dict[str, Any]] = {
    "depth_resolution": {"depth_resolution": 65536},
    "depth_resolution_importance": {"depth_resolution_importance": 65536},
    "box_warp": {"box_warp": 0.0},
    "box_warp ": {"box_warp": -1.0},
    "ray_start": {"ray_start": 5.0, "ray_end": 1.0},
    "ray_start ": {"ray_start": -1.0},
    "ray_end": {"ray_end": float("inf")},
}
"""Settings that no head can be rendered with, by a word of the refusal."""

COSTS: list[tuple[str, str, str, Callable[[Path], Path]]] = [
    ("key-bomb", "a.pt", "keys", key_bomb),
    ("key-bomb-in-options", "a.pt", "keys", key_bomb_in_options),
    ("many-options", "a.pt", "none of the networks", large_options),
    ("name-with-a-new-line", "a.pt", r"a\nb\x1b[31m", lambda p: odd_key(p, "a\nb\x1b[31m")),
    ("name-that-is-no-text", "a.pt", r"a\ud800b", lambda p: odd_key(p, "a\ud800b")),
    ("sparse-tail-pkl", "a.pkl", "no weights file has more", lambda p: with_tail(p, good_pickle)),
    ("sparse-tail-of-5-GB-pkl", "a.pkl", "follow its end", lambda p: with_tail(p, good_pickle, 5 << 30)),
    (
        "sparse-tail-legacy",
        "a.pt",
        "follow its last storage",
        lambda p: with_tail(p, lambda q: good_encoder(q, legacy=True), 5 << 30),
    ),
    ("sparse-version", "a.pt", "no tensor uses", lambda p: sparse_zip(p, "version")),
    ("sparse-storage", "a.pt", "no tensor uses", lambda p: sparse_zip(p, "data/9999")),
    ("sparse-gap", "a.pt", "belong to nothing", gap_in_zip),
    ("pickle-in-capitals", "a.pt", "twice", same_name_in_capitals),
    ("many-tensors", "a.safetensors", "tensors", many_tensors),
    ("huge-raw-side", "a.safetensors", "neural_rend", lambda p: our_generator(p, neural_rendering_resolution=65536)),
    *(
        (f"rendering-{i}", "a.safetensors", word.strip(), lambda p, s=settings: our_rendering(p, **s))
        for i, (word, settings) in enumerate(RENDERINGS.items())
    ),
    *(
        (f"rendering-{i}-pkl", "a.pkl", word.strip(), lambda p, s=settings: with_rendering(p, **s))
        for i, (word, settings) in enumerate(RENDERINGS.items())
    ),
]
"""Name, file, words of the refusal, and what makes it."""
