"""Runs an op twice, compiled and plain, and compares values and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from tests.golden import relative_error

Op = Callable[..., Tensor]
"""Takes tensors, then the name of the implementation."""


def values_and_gradients(op: Op, inputs: list[Tensor], implementation: str) -> list[Tensor]:
    """The result, and the gradients of a random scalar of it with respect to the inputs."""
    variables = [t.detach().requires_grad_() for t in inputs]
    out = op(*variables, implementation)
    torch.manual_seed(1)
    return [out.detach(), *torch.autograd.grad(out, variables, torch.randn(out.shape).to(out.dtype))]


def check_agreement(op: Op, inputs: list[Tensor]) -> None:
    """The reference runs in float64, so that only the rounding of the compiled op counts."""
    expected = values_and_gradients(op, [t.double() for t in inputs], "reference")
    actual = values_and_gradients(op, inputs, "cpu")
    for i, (found, wanted) in enumerate(zip(actual, expected, strict=True)):
        assert found.shape == wanted.shape
        if wanted.numel():  # 6e-7 is the largest seen, for values and gradients
            assert relative_error(found.double(), wanted) < (1e-4 if i else 1e-5), i


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch's number of threads, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_threads_change_nothing(op: Op, inputs: list[Tensor]) -> None:
    """The forward pass is bit-equal for one thread and for two, and from run to run."""
    found = []
    for count in (1, 2, 2, 1):
        with threads(count):
            found.append(op(*inputs, "cpu"))
    assert all(torch.equal(out, found[0]) for out in found)
