"""Convolutions whose weights are laid out for this processor once, not at every call.

A large encoder on one photo reads each weight for few pixels: laying them out anew took a third of its heads' time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class PackedConv2d(nn.Conv2d):
    """A convolution of a frozen network; weights that are changed in place after its first call do not count."""

    _packed: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """The convolution; the usual one where gradients are wanted, or not in bfloat16 on a CPU."""
        wanted = torch.is_grad_enabled() and (input.requires_grad or self.weight.requires_grad)
        if wanted or self.weight.dtype != torch.bfloat16 or self.weight.device.type != "cpu":
            return super().forward(input)
        sizes: tuple[Any, ...] = (self.padding, self.stride, self.dilation, self.groups)
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *sizes, input.shape)
        return torch.ops.mkldnn._convolution_pointwise(input, self._packed, self.bias, *sizes, "none", [], "")

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> PackedConv2d:
        """On another device, or in another type, they are laid out anew."""
        self._packed = None
        super()._apply(fn, recurse)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """What copies get: torch cannot copy weights that are laid out."""
        return {**self.__dict__, "_packed": None}


def with_packed_weights(network: NetworkT) -> NetworkT:
    """The same network, frozen, with its plain convolutions made such ones where torch can do that."""
    if torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise"):  # private names
        for module in network.modules():
            if type(module) is nn.Conv2d:
                module.__class__ = PackedConv2d
    return network
