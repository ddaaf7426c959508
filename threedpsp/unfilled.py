"""Networks without numbers: for weights that will be filled from a file, or when only shapes are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

NetworkT = TypeVar("NetworkT", bound=nn.Module)
_DRAWN = {torch.randn, torch.rand}
_CHANGED = {
    *(Tensor.normal_, Tensor.uniform_, Tensor.mul_, Tensor.div_, Tensor.mul, Tensor.div, Tensor.__mul__),
    *(nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.normal_, nn.init.uniform_),
}


class _NothingDrawn(TorchFunctionMode):
    """Random numbers, and what multiplies them, are left out: only their shapes count.

    On the meta device torch does these by Python code, for which it imports its compiler: a second for nothing.
    """

    def __torch_function__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func in _DRAWN:
            return torch.empty(*args, **named)
        if func in _CHANGED:
            return next(iter((*args, *named.values())))
        return func(*args, **named)


@contextmanager
def unfilled() -> Iterator[None]:
    """Inside, networks are made on the meta device: their tensors have shapes and no memory."""
    with torch.device("meta"), _NothingDrawn():
        yield


def allocated(network: NetworkT) -> NetworkT:
    """The same network with memory of main memory for its tensors, whatever numbers are there."""
    network._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype))
    return network
