"""What all commands share: common options, and how they talk (results to stdout, the rest to stderr)."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from ..errors import ThreeDPSPError
from ..weights.limits import printable
from .option_types import MaybePath, MaybeText, Switch
from .status_line import STATUS, on_terminal
from .waiting import waiting

if TYPE_CHECKING:
    from pathlib import Path

    from ..eg3d.generator import Generator
    from ..encoder.methods import MethodName
    from ..pipeline import Pipeline


PrecisionName = Literal["auto", "float32", "bfloat16", "float16"]
LINE_EVERY = 10.0  # seconds
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


@dataclass(frozen=True)
class PlainCommand(ABC):
    """Options of every command."""

    examples: ClassVar[tuple[str, ...]] = ()
    """Whole commands, for the end of the help."""

    json: Switch = False
    """For scripts: print the result, or the error, as one JSON object on stdout, and nothing else there."""
    quiet: Switch = False
    """No progress and no notes on stderr; only errors."""

    @abstractmethod
    def run(self) -> int:
        """Does the work; returns the exit code."""

    def fail(self, error: ThreeDPSPError) -> int:
        """Prints what went wrong; returns the exit code."""
        return self.end(f"error: {printable(error)}", printable(error), type(error).__name__, error.exit_code)

    def stopped(self) -> int:
        """Prints that somebody pressed Ctrl-C; returns the exit code."""
        return self.end("Stopped.", "Stopped.", "KeyboardInterrupt", INTERRUPTED)

    def end(self, line: str, error: str, kind: str, exit_code: int) -> int:
        """Prints why nothing came of it; returns the exit code."""
        self.say(line, always=True)
        if self.json:
            print(json.dumps({"error": error, "kind": kind, "exit_code": exit_code}), flush=True)
        return exit_code

    def say(self, text: str, *, always: bool = False) -> None:
        """A line for the person, on stderr."""
        if always or not self.quiet:
            STATUS.line(printable(text, keep="\n"))

    def result(self, text: str, data: Any) -> None:
        """What the command was asked for, on stdout."""
        STATUS.clear()
        print(json.dumps(data, default=str) if self.json else printable(text, keep="\n"), flush=True)

    def progress(self) -> ProgressLines:
        """A progress callback for the pipeline."""
        return ProgressLines(self)

    @property
    def live(self) -> bool:
        """Whether progress is shown in a line that is written over again."""
        return on_terminal() and not self.quiet

    def waiting(self, what: str) -> AbstractContextManager[None]:
        """A sign of life while the block does `what`, which cannot say how far it is."""
        return nullcontext() if self.quiet else waiting(what, self.say, self.live)


@dataclass(frozen=True)
class Command(PlainCommand):
    """Options of the commands that compute."""

    device: Annotated[str, tyro.conf.arg(metavar="DEVICE")] = "auto"
    """cpu, cuda, cuda:1, mps, or auto: the best that this machine has."""
    seed: int = 0
    """Seed of everything random. The same seed gives the same result on the same machine with the same number of
    threads, unless a limit in seconds ends the work early."""


@dataclass(frozen=True)
class SearchCommand(Command):
    """Options of the commands that look for weights."""

    weights_dir: MaybePath = None
    """A folder with weights, searched before the others that 'threedpsp weights list' shows."""

    @property
    def weights_dirs(self) -> tuple[Path, ...]:
        """The folders that are searched first."""
        return () if self.weights_dir is None else (self.weights_dir,)


@dataclass(frozen=True)
class GeneratorCommand(SearchCommand):
    """Options of the commands that use a generator."""

    generator: Annotated[str, tyro.conf.arg(metavar="NAME", aliases=["--model"])] = "tiny"
    """The generator: tiny, the embedded model; a file; or a name that 'threedpsp weights list' shows."""
    precision: PrecisionName = "auto"
    """The type that networks compute with; auto: what is fast and close enough on the device,
    which 'threedpsp check' tells."""

    def load_generator(self) -> Generator:
        """The generator alone."""
        from ..weights.systems import load_generator

        with self.waiting("load the generator"):
            return load_generator(
                self.generator, device=self.device, precision=self.precision, weights_dirs=self.weights_dirs
            )


@dataclass(frozen=True)
class ModelCommand(GeneratorCommand):
    """Options of the commands that use a generator and an encoder."""

    encoder: MaybeText = None
    """The encoder: a file, or a name that 'threedpsp weights list' shows.
    By default the one that belongs to the generator."""

    def load(self, method: MethodName | None = None) -> Pipeline:
        """The pipeline (with the system of that name), with the seed set."""
        with self.waiting("load the model"):
            import torch

            from ..pipeline import load

            torch.manual_seed(self.seed)
            return load(
                self.generator,
                encoder=self.encoder,
                method=method,
                device=self.device,
                precision=self.precision,
                weights_dirs=self.weights_dirs,
            )


class ProgressLines:
    """Progress as lines of text: when a stage begins, now and then, when it ends; on a terminal a running counter."""

    def __init__(self, command: PlainCommand) -> None:
        self._command = command
        self._stage = ""
        self._started = self._shown = 0.0
        self._live = command.live

    def __call__(self, stage: str, done: int, total: int) -> None:
        """The pipeline's `Progress`."""
        now = time.perf_counter()
        if stage != self._stage:
            self._stage, self._started, self._shown = stage, now, now
            if not self._live:
                self._command.say(f"{stage} ...")
        text = f"{stage} {done}/{total}  {now - self._started:.1f} s"
        if done >= total:
            self._command.say(text)
            self._stage = ""
        elif self._live:
            STATUS.show(text)
        elif now - self._shown >= LINE_EVERY:
            self._command.say(text)
            self._shown = now
