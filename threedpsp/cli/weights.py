"""`threedpsp weights`: which files there are, what a file is, conversion, download."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ..errors import InputError, WeightsError
from ..output import output_dir
from ..weights.catalogue import CATALOGUE, EMBEDDED, EMBEDDED_ENCODERS, Entry, entry_named, find_entry
from ..weights.search import download_folder, find_weights, how_to_get, locate, search_folders
from .command import PlainCommand
from .option_types import MaybeOutputPath, MaybePath, MaybeText, Switch
from .status_line import STATUS

if TYPE_CHECKING:
    from ..weights.recognise import Recognised

UNKNOWN = "not known"
FileOrName = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]


@dataclass(frozen=True)
class WeightsCommand(PlainCommand):
    """Options of all of them."""

    weights_dir: MaybePath = None
    """A folder with weights, searched before the others that 'threedpsp weights list' shows."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that are searched first."""
        return () if self.weights_dir is None else (self.weights_dir,)


@dataclass(frozen=True)
class ListWeights(WeightsCommand):
    """List every file we know, and whether it is present.

    For each it says what it is for, its size, its licence, where to get it and where it goes.
    """

    examples = ("threedpsp weights list", "threedpsp weights list --json")

    def run(self) -> int:
        """Prints the list."""
        places = [(entry, locate(entry, self.folders)) for entry in CATALOGUE]
        folders = search_folders(self.folders)
        lines = [
            f"{name}  [present]\n  embedded model: generator and encoder, part of this package" for name in EMBEDDED
        ]
        lines += [
            f"{name}  [{'present' if path.is_file() else 'missing'}]\n"
            "  embedded encoder of the generator tiny, part of this package"
            for name, path in EMBEDDED_ENCODERS.items()
        ]
        lines += ["\n".join(self._lines(entry, place)) for entry, place in places]
        searched = [f"  {folder}{'' if folder.is_dir() else '  (not there)'}" for folder in folders]
        lines.append("\n".join(["Searched, in this order:", *searched]))
        data = {
            "weights": [
                {**entry.to_dict(), "present": place is not None, "path": place, "get": how_to_get(entry, self.folders)}
                for entry, place in places
            ],
            "embedded": EMBEDDED,
            "embedded_encoders": {name: path if path.is_file() else None for name, path in EMBEDDED_ENCODERS.items()},
            "searched": folders,
        }
        self.result("\n\n".join(lines), data)
        return 0

    def _lines(self, entry: Entry, place: Path | None) -> Iterator[str]:
        state = "present" if place else "missing" if entry.needed else "missing, not needed here"
        yield f"{entry.name}  [{state}]"
        yield f"  {entry.purpose}"
        yield f"  file: {entry.file}, size: {size_text(entry)}, sha256: {entry.sha256 or UNKNOWN}"
        yield f"  licence: {entry.licence}"
        yield f"  from: {entry.page}"
        if entry.generator is not None:
            yield f"  belongs to the generator {entry.generator}"
        if place is not None:
            yield f"  found: {place}"
        elif entry.needed:
            yield f"  {how_to_get(entry, self.folders)}"
        if entry.note:
            yield f"  {entry.note}"


@dataclass(frozen=True)
class CheckWeights(WeightsCommand):
    """Say what a file is, and what is missing for using it.

    It also says which generator the file belongs to. Nothing in the file is run. The exit code is 6 if the file cannot
    be used.
    """

    examples = ("threedpsp weights check Downloads/3DpSp.pt", "threedpsp weights check tiny-psp --json")

    file: FileOrName = ""
    """A file, or a name that 'threedpsp weights list' shows."""

    def run(self) -> int:
        """Prints what is known; returns 0 only for a file that can be used."""
        path = one_file(self.file, self.folders, "threedpsp weights check 3DpSp.pt")
        from ..weights.recognise import recognise

        with self.waiting(f"read {path}"):
            found = recognise(path)
        needs = list(self._needs(found, path))
        lines = [f"{path}: {found.what}", f"  kind: {found.kind}", f"  tensors: {len(found.tensors)}"]
        lines += [f"  {name}: {value}" for name, value in found.facts.items() if name != "file"]
        lines += [f"  {need}" for need in needs]
        lines += [f"  problem: {problem}" for problem in found.problems] or ["  usable"]
        data = {
            "file": path,
            "kind": found.kind,
            "what": found.what,
            "usable": not found.problems,
            "problems": found.problems,
            "needs": needs,
            "facts": found.facts,
            "config": found.config,
        }
        self.result("\n".join(lines), data)
        return WeightsError.exit_code if found.problems else 0

    def _needs(self, found: Recognised, path: Path) -> Iterator[str]:
        """What else it takes, and whether that is there."""
        entry = entry_of(path, found)
        if entry is not None and entry.sha256 is not None and entry.file == path.name:
            same = found.facts.get("sha256", "").startswith(entry.sha256)
            yield f"checksum: {'as published' if same else 'not the published one; the file has been changed'}"
        if found.kind in ("encoder", "triplanenet"):
            generator = entry.generator if entry is not None else None
            if found.facts.get("generator"):
                yield f"belongs to the generator with the fingerprint {found.facts['generator']}"
            elif generator is None:
                yield f"belongs to a generator that the file does not name: {UNKNOWN}"
            if generator is not None:
                yield f"belongs to the generator {generator}: {self._presence(entry_named(generator))}"
        elif found.kind == "eg3d-generator" and entry is not None and entry.encoder is not None:
            yield f"the encoder {entry.encoder} goes with it: {self._presence(entry_named(entry.encoder))}"

    def _presence(self, entry: Entry) -> str:
        place = locate(entry, self.folders)
        return f"present, {place}" if place else f"missing. {how_to_get(entry, self.folders)}"


@dataclass(frozen=True)
class ConvertWeights(WeightsCommand):
    """Convert an official file to the format safetensors.

    The result is smaller, because only weights are in it, faster to load, and has nothing in it that could run.
    """

    examples = (f"threedpsp weights convert 3DpSp.pt --generator {CATALOGUE[0].name}",)

    file: FileOrName = ""
    """A file, or a name that 'threedpsp weights list' shows."""
    output: MaybeOutputPath = None
    """The file to write; by default beside the original, ending in .safetensors."""
    generator: MaybeText = None
    """For encoders: the generator they were trained with; the new file then remembers it, and refuses others."""
    method: Annotated[Literal["psp", "e4e"] | None, tyro.conf.arg(metavar="{psp,e4e}", help_behavior_hint="")] = None
    """For encoders: which they are, where the file does not say."""

    def run(self) -> int:
        """Writes the file and prints where it is."""
        path = one_file(self.file, self.folders, "threedpsp weights convert 3DpSp.pt")
        generator = None if self.generator is None else find_weights(self.generator, self.folders)
        from ..weights.convert import convert

        target = self.output or path.with_suffix(".safetensors")
        with output_dir(target.parent), self.waiting(f"convert {path}"):
            target = convert(path, target, generator=generator, method=self.method)
        sizes = [file.stat().st_size for file in (path, target)]
        text = f"{target}: {sizes[1]:,} bytes, from {path} ({sizes[0]:,} bytes)"
        self.result(text, {"file": target, "size": sizes[1], "from": path, "size_before": sizes[0]})
        return 0


@dataclass(frozen=True)
class DownloadWeights(WeightsCommand):
    """Fetch a file of the list, after asking about its licence.

    A download that broke off goes on where it stopped. The file goes to the folder of the option --weights-dir; without
    that option to the first folder that the environment variable THREEDPSP_WEIGHTS names; without that to the folder
    threedpsp among the models of ComfyUI, where there is one; and where there is none of these folders, to
    ~/.cache/threedpsp.
    """

    examples = (
        "threedpsp weights download ffhqrebalanced512-128",
        "threedpsp weights download 3dpsp --yes --weights-dir models/",
    )

    name: FileOrName = ""
    """A name that 'threedpsp weights list' shows."""
    yes: Switch = False
    """The licence is accepted; needed where nobody can be asked."""
    again: Switch = False
    """Also if the file is there already."""

    def run(self) -> int:
        """Asks, fetches, and prints where the file is and what was checked."""
        if not self.name:
            raise InputError(f"No name given. Example: threedpsp weights download {CATALOGUE[0].name}")
        if self.name in (*EMBEDDED, *EMBEDDED_ENCODERS):
            raise InputError(f"{self.name} is part of this package; there is nothing to download.")
        entry = entry_named(self.name)
        there = None if self.again else locate(entry, self.folders)
        if there is not None:
            self.result(f"{entry.name} is there already: {there}", {"file": there, "facts": ["there already"]})
            return 0
        if entry.url is None:
            raise WeightsError(
                f"{entry.file} has no address that a program can fetch. {how_to_get(entry, self.folders)}"
            )
        folder = download_folder(entry, self.folders)
        self._consent(entry, folder)
        from ..weights.download import download

        done = download(entry, folder, on_progress=DownloadLines(self, entry.file))
        self.result("\n  ".join([str(done.path), *done.facts]), {"file": done.path, "facts": done.facts})
        return 0

    def _consent(self, entry: Entry, folder: Path) -> None:
        """States the licence; asks on a terminal, else wants --yes.

        Raises:
            InputError: not accepted.
        """
        self.say(f"{entry.file}: {entry.purpose}", always=not self.yes)
        self.say(f"  licence: {entry.licence}", always=not self.yes)
        self.say(f"  from: {entry.url} (about: {entry.page})", always=not self.yes)
        self.say(f"  size: {size_text(entry)}, sha256: {entry.sha256 or UNKNOWN}; to: {folder}", always=not self.yes)
        if self.yes:
            return
        if self.json or not sys.stdin.isatty():
            raise InputError("Nobody can be asked about the licence here. If you accept it, repeat with --yes.")
        self.say("Do you accept this licence, and is the file to be fetched? [y/N]", always=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise InputError("Not fetched: the licence was not accepted.")


class DownloadLines:
    """How far a download is: a running line on a terminal, else a line for every tenth."""

    def __init__(self, command: PlainCommand, name: str) -> None:
        self._command, self._name = command, name
        self._live = command.live
        self._started, self._first, self._shown = time.perf_counter(), -1, -1

    def __call__(self, done: int, total: int | None) -> None:
        """The download's progress."""
        if self._first < 0:
            self._first = done
        rate = (done - self._first) / max(time.perf_counter() - self._started, 1e-3) / 1e6
        of = f" of {total / 1e6:,.0f}" if total else ""
        text = f"{self._name}: {done / 1e6:,.0f}{of} MB, {rate:.1f} MB/s"
        tenth = 10 * done // total if total else done // 100_000_000
        if self._live and done != total:
            STATUS.show(text)
        elif self._live:
            self._command.say(text)
        elif tenth != self._shown:
            self._shown = tenth
            self._command.say(text)


def one_file(name: str, folders: tuple[Path, ...], example: str) -> Path:
    """The file that was asked for.

    Raises:
        InputError: none was.
        WeightsError: it is not there, or is a folder.
    """
    if not name:
        raise InputError(f"No file given. Example: {example}")
    path = find_weights(name, folders)
    if path.is_dir():
        inside = ", ".join(sorted(p.name for p in path.iterdir() if p.suffix == ".safetensors")) or "no weights"
        raise WeightsError(f"{path} is a folder (with {inside}). Give one file.")
    return path


def entry_of(path: Path, found: Recognised) -> Entry | None:
    """The catalogue's entry for a file, by its name, where its kind agrees."""
    names = (path.name, *(f"{path.stem}{suffix}" for suffix in (".pkl", ".pt", ".pth")))
    entries = (find_entry(name) for name in names)
    return next((entry for entry in entries if entry is not None and entry.kind == found.kind), None)


def size_text(entry: Entry) -> str:
    """The size for people."""
    return f"{entry.size:,} bytes" if entry.size is not None else entry.about_size or UNKNOWN
