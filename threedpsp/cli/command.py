"""What all commands share: common options, and how they talk (results to stdout, the rest to stderr)."""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..errors import ThreeDPSPError
from ..weights.limits import printable

if TYPE_CHECKING:
    from ..eg3d.generator import Generator
    from ..encoder.methods import MethodName
    from ..pipeline import Pipeline

Switch = tyro.conf.FlagCreatePairsOff[bool]


@dataclass(frozen=True)
class PlainCommand(ABC):
    """Options of every command."""

    json: Annotated[Switch, tyro.conf.arg(help="Print the result, or the error, as JSON on stdout.")] = False
    quiet: Annotated[Switch, tyro.conf.arg(help="No progress on stderr.")] = False

    @abstractmethod
    def run(self) -> int:
        """Does the work; returns the exit code."""

    def fail(self, error: ThreeDPSPError) -> int:
        """Prints what went wrong; returns the exit code."""
        text = printable(error)
        self.say(f"error: {text}", always=True)
        if self.json:
            print(json.dumps({"error": text, "kind": type(error).__name__, "exit_code": error.exit_code}))
        return error.exit_code

    def say(self, text: str, *, always: bool = False) -> None:
        """A line for the person, on stderr."""
        if always or not self.quiet:
            print(printable(text, keep="\r\n"), file=sys.stderr, flush=True)

    def result(self, text: str, data: Any) -> None:
        """What the command was asked for, on stdout."""
        print(json.dumps(data, default=str) if self.json else printable(text, keep="\n"), flush=True)

    def progress(self) -> ProgressLines:
        """A progress callback for the pipeline."""
        return ProgressLines(self)


@dataclass(frozen=True)
class Command(PlainCommand):
    """Options of the commands that compute."""

    device: str = "auto"
    """cpu, cuda, cuda:1, mps, or auto: the best that this machine has."""
    seed: int = 0
    """Seed of everything random; the same seed on the same machine gives the same result."""


@dataclass(frozen=True)
class SearchCommand(Command):
    """Options of the commands that look for weights."""

    weights_dir: Path | None = None
    """A folder with weights, searched before the others that 'threedpsp weights list' shows."""

    @property
    def weights_dirs(self) -> tuple[Path, ...]:
        """The folders that are searched first."""
        return () if self.weights_dir is None else (self.weights_dir,)


@dataclass(frozen=True)
class GeneratorCommand(SearchCommand):
    """Options of the commands that use a generator."""

    generator: Annotated[str, tyro.conf.arg(aliases=["--model"])] = "tiny"
    """The generator: tiny, the embedded model; a file; or a name that 'threedpsp weights list' shows."""

    def load_generator(self) -> Generator:
        """The generator alone."""
        from ..weights.systems import load_generator

        return load_generator(self.generator, device=self.device, weights_dirs=self.weights_dirs)


@dataclass(frozen=True)
class ModelCommand(GeneratorCommand):
    """Options of the commands that use a generator and an encoder."""

    encoder: str | None = None
    """The encoder: a file, or a name of that list; by default the one that belongs to the generator."""

    def load(self, method: MethodName | None = None) -> Pipeline:
        """The pipeline (with the system of that name), with the seed set."""
        import torch

        from ..pipeline import load

        torch.manual_seed(self.seed)
        return load(
            self.generator, encoder=self.encoder, method=method, device=self.device, weights_dirs=self.weights_dirs
        )


class ProgressLines:
    """Progress as lines of text: one when a stage begins and one when it ends; a running counter on a terminal."""

    def __init__(self, command: PlainCommand) -> None:
        self._command = command
        self._stage = ""
        self._started = 0.0
        self._live = sys.stderr.isatty() and not command.quiet

    def __call__(self, stage: str, done: int, total: int) -> None:
        """The pipeline's `Progress`."""
        if stage != self._stage:
            self._stage, self._started = stage, time.perf_counter()
            if not self._live:
                self._command.say(f"{stage} ...")
        seconds = time.perf_counter() - self._started
        text = f"{stage} {done}/{total}  {seconds:.1f} s"
        if done >= total:
            self._command.say(f"\r{text}   " if self._live else text)
            self._stage = ""
        elif self._live:
            print(f"\r{text}   ", end="", file=sys.stderr, flush=True)
