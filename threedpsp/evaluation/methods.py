"""Which systems are compared: from `3dpsp,psp,mine=a.safetensors+b.safetensors` to loaded pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ..eg3d.generator import Generator
from ..encoder.encoder import Encoder
from ..encoder.methods import METHODS, MethodName
from ..errors import InputError, WeightsError
from ..pipeline import Pipeline
from ..weights.systems import load_system

REFINE = "refine"
"""The method that refines the heads of the default encoder."""
_SYNTAX = "Methods are names, or NAME=FILE, between commas; several files of one method (its seeds) have a + between."


@dataclass(frozen=True)
class MethodSpec:
    """One row of the table. files: one for each seed; none: what goes by the name."""

    name: str
    files: tuple[str, ...] = ()

    @property
    def system(self) -> MethodName | None:
        """The system that its files must hold; None: whatever they hold."""
        return next((name for name in get_args(MethodName) if name == self.name), None)


@dataclass(frozen=True)
class LoadedMethod:
    """A row with its networks: one pipeline for each seed. refine: its heads are refined before they are measured."""

    name: str
    pipelines: tuple[Pipeline, ...]
    files: tuple[str, ...]
    refine: bool = False


def parse_methods(text: str) -> tuple[MethodSpec, ...]:
    """The methods of a command line, in order; a name that comes again adds its files to the first.

    Raises:
        InputError: nothing there, or not in that form.
    """
    found: dict[str, tuple[str, ...]] = {}
    for part in (part.strip() for part in text.split(",")):
        name, equals, rest = (piece.strip() for piece in part.partition("="))
        files = tuple(file.strip() for file in rest.split("+")) if equals else ()
        if not name or not name.isprintable() or "/" in name or (equals and not all(files)):
            raise InputError(f"'{part}' names no method. {_SYNTAX} Example: --methods 3dpsp,psp,mine=mine.safetensors")
        if name in found and not (files and found[name]):
            raise InputError(f"The method {name} comes twice. {_SYNTAX}")
        found[name] = found.get(name, ()) + files
    return tuple(MethodSpec(name, files) for name, files in found.items())


def load_method(
    spec: MethodSpec,
    generator: Generator,
    generator_name: str | Path = "tiny",
    encoder: str | Path | None = None,
    weights_dirs: Sequence[str | Path] = (),
) -> LoadedMethod:
    """A row's networks, all for one generator.

    Args:
        spec: the row. A name alone is a system ("3dpsp", "psp", ...), "refine", or the name of weights ("tiny-psp").
        generator: loaded.
        generator_name: by which it was loaded.
        encoder: what the default encoder (of "3dpsp" and "refine") is, instead of the one that goes with the generator.
        weights_dirs: folders that are searched first.

    Raises:
        WeightsError: a file is missing, damaged, of another system, or for another generator; names the method.
    """

    def one(file: str | Path | None, method: MethodName | None) -> Pipeline:
        system = load_system(generator, generator_name, encoder=file, method=method, weights_dirs=weights_dirs)
        return Pipeline(generator, system)

    refine = spec.name == REFINE
    try:
        if spec.files:
            pipelines = tuple(one(file, spec.system) for file in spec.files)
        elif refine:
            pipelines = (one(encoder, None),)
        elif spec.system is not None:
            pipelines = (one(encoder if spec.system == "3dpsp" else None, spec.system),)
        else:
            pipelines = (one(spec.name, None),)
    except WeightsError as error:
        names = ", ".join([*METHODS, REFINE])
        hint = f" Or name its file: --methods {spec.name}=FILE."
        if spec.files or refine:
            hint = ""
        elif spec.system is None:
            hint = f" There is no method '{spec.name}'; there are: {names}."
        raise WeightsError(f"Method {spec.name}: {error}{hint}") from error
    return LoadedMethod(spec.name, pipelines, spec.files or (_default_file(spec, encoder),), refine)


def steps_of(pipeline: Pipeline, steps: int) -> int | None:
    """Encoder steps of a pipeline: as many as asked for where it sees its estimate (3D-pSp), else its own number."""
    network = pipeline.encoder
    return steps if isinstance(network, Encoder) and network.config.input_channels == 6 else None


def _default_file(spec: MethodSpec, encoder: str | Path | None) -> str:
    """Where a row's weights come from if no file is named, in words."""
    if spec.system == "pti":
        return "no weights of its own"
    if encoder is not None and (spec.system == "3dpsp" or spec.name == REFINE):
        return str(encoder)
    return "what goes with the generator" if spec.system or spec.name == REFINE else spec.name
