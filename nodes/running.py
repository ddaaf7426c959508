"""What every node's `execute` runs in: checked choices, torch's usual gradients, missing packages as plain errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from .io_types import io

Result = TypeVar("Result")


def in_core(execute: Callable[..., Result]) -> Callable[..., Result]:
    """Wraps a node's `execute`.

    ComfyUI runs nodes in inference mode, whose tensors can never be used with gradients, so Refine could not use what
    Encode made: our nodes leave that mode. A missing package becomes one line with the command that installs it.
    """

    @functools.wraps(execute)
    def run(*args: Any, **kwargs: Any) -> Result:
        _check_choices(args[0].define_schema(), kwargs)
        try:
            with torch.inference_mode(False), torch.enable_grad():
                return execute(*args, **kwargs)
        except ModuleNotFoundError as error:
            raise RuntimeError(
                f"The Python package '{error.name}' is missing. In the folder of this node pack run "
                "'python -m pip install -r requirements.txt' with ComfyUI's Python, then start ComfyUI again."
            ) from error

    return run


def _check_choices(schema: io.Schema, values: dict[str, Any]) -> None:
    """What comes for a list through ComfyUI's API is not checked there; a wrong word must not mean another."""
    for described in schema.inputs:
        options = described.as_dict().get("options")
        if options and described.id in values and values[described.id] not in options:
            words = ", ".join(map(str, options))
            raise ValueError(f"{described.id} is {values[described.id]!r}; choose one of: {words}.")
