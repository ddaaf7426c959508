"""A training's state as tensors and plain text: what a checkpoint holds, and how it comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import WeightsError

Tensors = dict[str, Tensor]


@dataclass
class Progress:
    """Where a training is.

    step: optimizer steps done. seconds: spent training, over all runs. cpu_seconds: of the process's CPU time.
    best: lowest validation loss, None before the first. best_step: where it was. stale: validations since.
    """

    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    judges: dict[str, str] = field(default_factory=dict)


def pack_module(prefix: str, module: nn.Module) -> Tensors:
    """Its state_dict under a prefix."""
    return {f"{prefix}/{name}": tensor for name, tensor in module.state_dict().items()}


def unpack_module(prefix: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Fill a module from what `pack_module` made.

    Raises:
        WeightsError: it does not fit.
    """
    state = {name.removeprefix(f"{prefix}/"): t for name, t in tensors.items() if name.startswith(f"{prefix}/")}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"This checkpoint's {prefix} is of another network ({str(error)[:300]}).") from error


def pack_optimizer(prefix: str, optimizer: torch.optim.Optimizer) -> tuple[Tensors, dict[str, Any]]:
    """Its tensors by name, and its numbers."""
    state = optimizer.state_dict()
    tensors: Tensors = {}
    numbers: list[list[Any]] = []
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{prefix}/{index}/{name}"] = value
            else:
                numbers.append([index, name, value])
    groups = [{name: value for name, value in group.items() if name != "params"} for group in state["param_groups"]]
    return tensors, {"numbers": numbers, "groups": groups}


def unpack_optimizer(
    prefix: str, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]
) -> None:
    """Fill an optimizer of the same parameters; what it remembers of each lies in memory as the parameter does.

    Raises:
        WeightsError: it belongs to other parameters.
    """
    own = optimizer.state_dict()
    entries: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        if key.startswith(f"{prefix}/"):
            _, index, name = key.rsplit("/", 2)
            entries.setdefault(int(index), {})[name] = value
    for index, name, value in numbers["numbers"]:
        entries.setdefault(index, {})[name] = value
    try:
        groups = [
            {**saved, "params": group["params"]}
            for group, saved in zip(own["param_groups"], numbers["groups"], strict=True)
        ]
        optimizer.load_state_dict({"state": entries, "param_groups": groups})
    except (ValueError, KeyError) as error:
        raise WeightsError(f"This checkpoint's optimizer is of another network ({error}).") from error
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            for name, value in state.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    state[name] = torch.empty_like(parameter).copy_(value)


def to_text(values: Any) -> str:
    """Plain values as JSON."""
    return json.dumps(values)


def from_text(text: str) -> Any:
    """Back from `to_text`.

    Raises:
        WeightsError: damaged.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise WeightsError(f"The checkpoint's numbers cannot be read ({error}).") from error
