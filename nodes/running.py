"""What every node's `execute` runs in: gradients as torch has them by default, and missing packages as plain errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


def in_core(execute: Callable[..., Result]) -> Callable[..., Result]:
    """Wraps a node's `execute`.

    ComfyUI runs nodes in inference mode, whose tensors can never be used with gradients, so Refine could not use what
    Encode made: our nodes leave that mode. A missing package becomes one line with the command that installs it.
    """

    @functools.wraps(execute)
    def run(*args: Any, **kwargs: Any) -> Result:
        try:
            with torch.inference_mode(False), torch.enable_grad():
                return execute(*args, **kwargs)
        except ModuleNotFoundError as error:
            raise RuntimeError(
                f"The Python package '{error.name}' is missing. In the folder of this node pack run "
                "'python -m pip install -r requirements.txt' with ComfyUI's Python, then start ComfyUI again."
            ) from error

    return run
