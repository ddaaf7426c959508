"""Checks of shapes that ops share."""

from __future__ import annotations

from torch import Tensor

from .types import PlaneMLP


def check_shape(name: str, tensor: Tensor, expected: tuple[int, ...]) -> None:
    """Raise ValueError unless the tensor has this shape."""
    if tuple(tensor.shape) != expected:
        raise ValueError(f"{name} must be {list(expected)}; got {list(tensor.shape)}.")


def check_decoder(mlp: PlaneMLP, channels: int) -> None:
    """Raise ValueError unless the weights fit each other and planes of so many channels."""
    outputs, hidden = mlp.w1.shape
    check_shape("mlp.w0", mlp.w0, (hidden, channels))
    check_shape("mlp.b0", mlp.b0, (hidden,))
    check_shape("mlp.b1", mlp.b1, (outputs,))
