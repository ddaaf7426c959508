"""`query_points` in C++."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.library import register_autograd, register_fake

from .._backend import Structure, call
from ..plane_axes import parse_plane_axes
from ..types import PlaneMLP
from .registration import differentiable_no_further, operator
from .render_rays import only

INPUTS = "Tensor planes, Tensor w0, Tensor b0, Tensor w1, Tensor b1, Tensor points, int[] axes, float box_warp"
GROUPS = (0, 1, 1, 1, 1, 2)  # planes, decoder, points


def query_points(
    features: Tensor, plane_axes: str, mlp: PlaneMLP, points: Tensor, box_warp: float
) -> tuple[Tensor, Tensor]:
    """See `eg3d_kernels.query_points`."""
    axes = [axis for pair in parse_plane_axes(plane_axes) for axis in pair]
    raw_sigma, rgb = forward(features, *mlp, points, axes, box_warp)
    return raw_sigma, rgb


@operator(f"query_points({INPUTS}) -> (Tensor, Tensor)")
def forward(*inputs: Any) -> tuple[Tensor, ...]:
    """Raw density and colour."""
    out = _new_outputs(*inputs)
    call("eg3d_query_points", _inputs(*inputs), *out)
    return out


@register_fake(forward)
def _new_outputs(*inputs: Any) -> tuple[Tensor, ...]:
    w1, points = inputs[3], inputs[5]
    return tuple(points.new_empty(*points.shape[:2], channels) for channels in (1, w1.shape[0] - 1))


@operator(
    f"query_points_backward({INPUTS}, Tensor grad_raw_sigma, Tensor grad_rgb, bool[] needed)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)
def backward(*inputs: Any) -> tuple[Tensor, ...]:
    """Gradients of the first six inputs; `needed` tells for planes, decoder and points whether they are wanted."""
    gradients = [gradient.zero_() for gradient in _new_gradients(*inputs)]
    *outer, needed = inputs[8:]
    wanted = only(needed, gradients, GROUPS)
    call("eg3d_query_points_backward", _inputs(*inputs[:8]), *(gradient.contiguous() for gradient in outer), *wanted)
    return tuple(gradients)


@register_fake(backward)
def _new_gradients(*inputs: Any) -> tuple[Tensor, ...]:
    wanted = only(inputs[-1], inputs[:6], GROUPS)
    return tuple(t.new_empty((0,) if w is None else t.shape) for t, w in zip(inputs[:6], wanted, strict=True))


def _inputs(*inputs: Any) -> Structure:
    """Points are the origins of rays with one sample at depth 0."""
    tensors = [t.contiguous() for t in inputs[:6]]
    planes, w0, w1, points = (inputs[i] for i in (0, 1, 3, 5))
    axes, box_warp = inputs[6:]
    zeros = tensors[5].new_zeros(points.shape)  # directions, and the first third of it depths
    sizes = (*points.shape[:2], *planes.shape[2:], w0.shape[0], w1.shape[0], 1, 0)
    return Structure("RenderRaysInputs", [*tensors, zeros, zeros, None, axes, *sizes, box_warp, False, 0.0])


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:6])
    ctx.settings = inputs[6:]


def _backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
    needs = ctx.needs_input_grad
    needed = [needs[0], any(needs[1:5]), needs[5]]
    gradients = backward(*ctx.saved_tensors, *ctx.settings, *outer, needed)
    return (*only(needed, gradients, GROUPS), None, None)


differentiable_no_further(backward)
register_autograd(forward, _backward, setup_context=_save)
