"""A recorded case: its tensors, its settings, and the files beside it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ..data.seeded_weights import seeded_state_dict

SUFFIX = ".safetensors"
ANOTHER_DRAW = "__"
"""What follows this in a file's name tells draws of one kind apart."""


class CaseError(Exception):
    """A case that cannot be run; the message says why."""


@dataclass(frozen=True)
class Case:
    """One file: recorded inputs and outputs, and the settings they were recorded with."""

    path: Path
    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.name.removesuffix(SUFFIX)

    @property
    def kind(self) -> str:
        """From the metadata, else from the name."""
        return self.metadata.get("kind") or self.name.split(ANOTHER_DRAW)[0]

    def text(self, key: str, default: str) -> str:
        """A setting; only the first word, because some are followed by a remark."""
        return (self.metadata.get(key) or default).split()[0]

    def integer(self, key: str, default: int) -> int:
        """A setting that is a whole number."""
        return int(self.text(key, str(default)))

    def number(self, key: str, default: float) -> float:
        """A setting that is a number."""
        return float(self.text(key, str(default)))

    def json(self, key: str) -> Any:
        """A setting that holds JSON."""
        if key not in self.metadata:
            raise CaseError(f"its metadata have no {key!r}")
        return json.loads(self.metadata[key])

    def within(self, key: str, pattern: str, default: str) -> str:
        """The first group of a pattern within a setting written for people."""
        found = re.search(pattern, self.metadata.get(key, ""))
        return found.group(1) if found else default

    def tensor(self, name: str) -> torch.Tensor:
        """A recorded tensor that must be there."""
        if name not in self.tensors:
            raise CaseError(f"it holds no tensor {name!r} (it has: {', '.join(sorted(self.tensors))})")
        return self.tensors[name]

    def one_named(self, *patterns: str) -> str:
        """The name of the first tensor that fits the first of these patterns that any fits."""
        for pattern in patterns:
            for name in sorted(self.tensors):
                if re.fullmatch(pattern, name):
                    return name
        raise CaseError(f"it holds no tensor named like {patterns[0]!r} (it has: {', '.join(sorted(self.tensors))})")

    def companion(self, key: str, ending: str) -> Path | None:
        """The file that belongs to this one: of the same name with another ending, else the one the metadata name."""
        own = self.path.with_name(self.name + ending)
        if own.is_file() or key not in self.metadata:
            return own if own.is_file() else None
        return self.beside(key)

    def beside(self, key: str) -> Path:
        """The file in this folder that a setting names."""
        if key not in self.metadata:
            raise CaseError(f"its metadata have no {key!r}, and no file of its own name stands in")
        path = self.path.with_name(Path(self.metadata[key]).name)
        if not path.is_file():
            raise CaseError(f"{path.name}, named by its metadata as {key}, is not beside it")
        return path

    def weights(self) -> dict[str, torch.Tensor]:
        """The weights it was recorded with, drawn again."""
        return drawn_weights(self.companion("weights", ".weights.json") or self.beside("weights"))


def drawn_weights(manifest: Path) -> dict[str, torch.Tensor]:
    """The tensors of a manifest."""
    try:
        return {name: torch.from_numpy(value) for name, value in seeded_state_dict(manifest).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CaseError(f"{manifest.name} is not a readable manifest ({type(error).__name__}: {error})") from error


def find_cases(folder: Path) -> list[Path]:
    """The case files of a folder, by name."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def read_case(path: Path) -> Case:
    """A case with all its tensors.

    Raises:
        CaseError: not a readable safetensors file.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return Case(path, tensors, dict(file.metadata() or {}))
    except (SafetensorError, OSError, ValueError) as error:
        raise CaseError(f"not a readable safetensors file ({error})") from error
