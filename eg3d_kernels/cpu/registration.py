"""Registers compiled functions as torch operators."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch.library import CustomOpDef

# The package may be in a process twice, by its own name and inside the ComfyUI pack: each copy has its own operators.
NAMESPACE = re.sub(r"\W", "_", __package__)


def operator(schema: str, mutates: tuple[str, ...] = ()) -> Callable[[Callable[..., Any]], CustomOpDef]:
    """Decorator: make a function the compiled implementation of `name(arguments) -> results`, on processors and cards.

    mutates: the arguments that it changes, marked (a!), (b!) in the schema too.
    """
    name, _, signature = schema.partition("(")
    return torch.library.custom_op(
        f"{NAMESPACE}::{name}", mutates_args=mutates, device_types=("cpu", "cuda"), schema="(" + signature
    )
