"""Registers compiled functions as torch operators."""

import re
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import torch
from torch._ops import OpOverload


def _own_namespace() -> str:
    """The package's name, marked by an operator that does nothing; another one where a copy of the package has that.

    A process may hold the package twice, by its own name and inside the ComfyUI pack: each copy has its own operators.
    """
    name = re.sub(r"\W", "_", __package__)
    while True:
        try:
            torch.library.define(f"{name}::taken", "() -> ()")
        except RuntimeError:
            name += "_again"
        else:
            return name


NAMESPACE = _own_namespace()


def operator(schema: str) -> Callable[[Callable[..., Any]], OpOverload]:
    """Decorator: make a function the compiled implementation of `name(arguments) -> results`, on processors and cards.

    Not by `torch.library.custom_op`, whose operators import torch's compiler when first called: half a second.
    """
    name, _, signature = schema.partition("(")

    def register(function: Callable[..., Any]) -> OpOverload:
        torch.library.define(f"{NAMESPACE}::{name}", "(" + signature)
        torch.library.impl(f"{NAMESPACE}::{name}", ("cpu", "cuda"), function)
        return attrgetter(f"{NAMESPACE}.{name}.default")(torch.ops)

    return register


def differentiable_no_further(gradients: OpOverload) -> None:
    """Of an operator that makes gradients: gradients of these are an error, and not silently nothing."""

    def refuse(ctx: Any, *outer: Any) -> None:
        raise RuntimeError(f"{gradients} has no derivative; use implementation='reference' for second derivatives.")

    torch.library.register_autograd(gradients, refuse)
