"""`sample_planes` in C++."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.library import register_autograd, register_fake

from .._backend import call
from ..plane_axes import parse_plane_axes
from .registration import differentiable_no_further, operator


def sample_planes(features: Tensor, coordinates: Tensor, plane_axes: str) -> Tensor:
    """See `eg3d_kernels.sample_planes`."""
    return forward(features, coordinates, [axis for pair in parse_plane_axes(plane_axes) for axis in pair])


@operator("sample_planes(Tensor features, Tensor coordinates, int[] axes) -> Tensor")
def forward(features: Tensor, coordinates: Tensor, axes: list[int]) -> Tensor:
    """[n, 3, h, w, c], [n, p, 3] -> [n, p, c]."""
    features, coordinates = features.contiguous(), coordinates.contiguous()
    out = _new_output(features, coordinates, axes)
    call("eg3d_sample_planes", features, coordinates, out, *coordinates.shape[:2], *features.shape[2:], axes)
    return out


@register_fake(forward)
def _new_output(features: Tensor, coordinates: Tensor, axes: list[int]) -> Tensor:
    return features.new_empty(*coordinates.shape[:2], features.shape[-1])


@operator(
    "sample_planes_backward(Tensor features, Tensor coordinates, Tensor grad, int[] axes, bool[] needed)"
    " -> (Tensor, Tensor)"
)
def backward(
    features: Tensor, coordinates: Tensor, grad: Tensor, axes: list[int], needed: list[bool]
) -> tuple[Tensor, Tensor]:
    """Gradients of features and coordinates; those not needed are empty."""
    features, coordinates, grad = features.contiguous(), coordinates.contiguous(), grad.contiguous()
    sizes = (*coordinates.shape[:2], *features.shape[2:], axes)
    features_grad, coordinates_grad = _new_gradients(features, coordinates, grad, axes, needed)
    if needed[0]:
        call("eg3d_sample_planes_grad_planes", coordinates, grad, features_grad.zero_(), *sizes)
    if needed[1]:
        call("eg3d_sample_planes_grad_points", features, coordinates, grad, coordinates_grad, *sizes)
    return features_grad, coordinates_grad


@register_fake(backward)
def _new_gradients(
    features: Tensor, coordinates: Tensor, grad: Tensor, axes: list[int], needed: list[bool]
) -> tuple[Tensor, Tensor]:
    shapes = [tensor.shape if need else (0,) for tensor, need in zip((features, coordinates), needed, strict=True)]
    return features.new_empty(shapes[0]), features.new_empty(shapes[1])


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    features, coordinates, ctx.axes = inputs
    ctx.save_for_backward(features, coordinates)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    needed = list(ctx.needs_input_grad[:2])
    gradients = backward(*ctx.saved_tensors, grad, ctx.axes, needed)
    return gradients[0] if needed[0] else None, gradients[1] if needed[1] else None, None


differentiable_no_further(backward)
register_autograd(forward, _backward, setup_context=_save)
