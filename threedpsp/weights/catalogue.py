"""Every weights file we know: what it is for, its licence, where to get it, where it goes. None: not known to us.

They are listed in catalogue.json, with the fields of `Entry`. The sources are the licences and the pages of the
published projects (EG3D, 3DpSp, TriPlaneNet, unsup3d and Deep3DFaceRecon_pytorch), the lists of files of the packages
that carry one, and the checksums that the publishers of files or several users have recorded.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import WeightsError

EMBEDDED = {"tiny": Path(__file__).resolve().parent / "tiny"}
"""Models inside this package: folders with generator.safetensors and encoder.safetensors."""

EMBEDDED_ENCODERS = {f"tiny-{method}": EMBEDDED["tiny"] / f"{method}.safetensors" for method in ("3dpsp", "psp", "e4e")}
"""Other encoders inside this package, for the generator of tiny: the systems of docs/benchmark.md, equally trained."""

Home = Literal["weights", "torch-hub", "package"]


@dataclass(frozen=True)
class Entry:
    """One file."""

    name: str
    """What it is called on our command line."""
    file: str
    """What the file is called; never with a folder."""
    purpose: str
    """What it is for."""
    licence: str
    """Of the weights; says so where only the code's is known."""
    page: str
    """Where people read about it and get it."""
    kind: str = ""
    """What `recognise` calls it; empty where our code has no use for reading it."""
    url: str | None = None
    """Direct https address, where there is one that a program can fetch."""
    archive_member: str | None = None
    """The last part of the file's name inside the zip archive that `url` leads to; None: `url` is the file itself."""
    size: int | None = None
    """Exact size in bytes, where known."""
    about_size: str | None = None
    """Rough size, where only that is known."""
    sha256: str | None = None
    """Checksum of the file, or its first digits, where known."""
    published_folder: str | None = None
    """The folder, inside a checkout of the published code, in which that code expects it."""
    generator: str | None = None
    """Of an encoder: the catalogue's name of the generator it was trained with."""
    encoder: str | None = None
    """Of a generator: the catalogue's name of the encoder that is used with it by default."""
    home: Home = "weights"
    """weights: any folder of the search path; torch-hub: torch's own cache; package: a pip package carries it."""
    package: str | None = None
    """The pip requirement that brings the file."""
    needed: bool = True
    """False: only the published code needs it; ours never reads it."""
    note: str = ""
    """What else one should know."""

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-able."""
        return asdict(self)


_ENTRIES = Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8")
CATALOGUE: tuple[Entry, ...] = tuple(Entry(**entry) for entry in json.loads(_ENTRIES))


def find_entry(name: str) -> Entry | None:
    """The entry of that name or file name, upper or lower case; None where there is none."""
    wanted = name.lower()
    return next((entry for entry in CATALOGUE if wanted in (entry.name, entry.file.lower())), None)


def entry_named(name: str) -> Entry:
    """The entry of that name or file name.

    Raises:
        WeightsError: there is none; the message lists the names.
    """
    entry = find_entry(name)
    if entry is None:
        names = ", ".join(entry.name for entry in CATALOGUE)
        raise WeightsError(f"No weights called '{name}' are known. Known names: {names}.")
    return entry
