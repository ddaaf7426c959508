"""`render_rays` in C++."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.library import register_autograd, register_fake

from .._backend import Structure, call
from ..plane_axes import parse_plane_axes
from ..types import PlaneMLP, RayOutputs
from .registration import differentiable_no_further, operator

INPUTS = (
    "Tensor planes, Tensor w0, Tensor b0, Tensor w1, Tensor b1, Tensor origins, Tensor directions, Tensor depths, "
    "Tensor? u, int[] axes, float box_warp, bool white_back, float min_transmittance"
)
GROUPS = (0, 1, 1, 1, 1, 2, 2)  # planes, decoder, rays


def render_rays(
    features: Tensor,
    plane_axes: str,
    mlp: PlaneMLP,
    origins: Tensor,
    directions: Tensor,
    depths: Tensor,
    u: Tensor | None,
    box_warp: float,
    white_back: bool,
    min_transmittance: float,
) -> RayOutputs:
    """See `eg3d_kernels.reference.render_rays`."""
    axes = [axis for pair in parse_plane_axes(plane_axes) for axis in pair]
    out = forward(features, *mlp, origins, directions, depths, u, axes, box_warp, white_back, min_transmittance)
    return RayOutputs(*out[:3], *(depth.detach() for depth in out[3:]))


@operator(f"render_rays({INPUTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)")
def forward(*inputs: Any) -> tuple[Tensor, ...]:
    """The fields of `RayOutputs`."""
    out = _new_outputs(*inputs)
    call("eg3d_render_rays", _inputs(*inputs), *out)
    return out


@register_fake(forward)
def _new_outputs(*inputs: Any) -> tuple[Tensor, ...]:
    planes, w1, origins = inputs[0], inputs[3], inputs[5]
    n, m = origins.shape[:2]
    return (planes.new_empty(n, m, w1.shape[0] - 1), *(planes.new_empty(n, m) for _ in range(4)))


@operator(
    f"render_rays_backward({INPUTS}, Tensor grad_features, Tensor grad_depth, Tensor grad_opacity, bool[] needed)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)
def backward(*inputs: Any) -> tuple[Tensor, ...]:
    """Gradients of the first seven inputs; `needed` tells for planes, decoder and rays whether they are wanted."""
    gradients = [gradient.zero_() for gradient in _new_gradients(*inputs)]
    *outer, needed = inputs[13:]
    call(
        "eg3d_render_rays_backward",
        _inputs(*inputs[:13]),
        *(gradient.contiguous() for gradient in outer),
        *only(needed, gradients, GROUPS),
    )
    return tuple(gradients)


@register_fake(backward)
def _new_gradients(*inputs: Any) -> tuple[Tensor, ...]:
    return tuple(
        t.new_empty((0,) if wanted is None else t.shape)
        for t, wanted in zip(inputs[:7], only(inputs[-1], inputs[:7], GROUPS), strict=True)
    )


def _inputs(*inputs: Any) -> Structure:
    tensors = [t if t is None else t.contiguous() for t in inputs[:9]]
    planes, w0, w1, origins, depths, u = (inputs[i] for i in (0, 1, 3, 5, 7, 8))
    axes, *settings = inputs[9:]
    sizes = (*origins.shape[:2], *planes.shape[2:], w0.shape[0], w1.shape[0], depths.shape[2])
    return Structure("RenderRaysInputs", [*tensors, axes, *sizes, 0 if u is None else u.shape[2], *settings])


def only(needed: Sequence[bool], tensors: Sequence[Tensor], groups: Sequence[int]) -> list[Tensor | None]:
    """None in the place of what is not needed; `groups` tells which entry of `needed` speaks for a tensor."""
    return [tensor if needed[group] else None for group, tensor in zip(groups, tensors, strict=True)]


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:9])
    ctx.settings = inputs[9:]


def _backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
    needs = ctx.needs_input_grad
    needed = [needs[0], any(needs[1:5]), any(needs[5:7])]
    gradients = backward(*ctx.saved_tensors, *ctx.settings, *outer[:3], needed)
    return (*only(needed, gradients, GROUPS), *[None] * 6)


differentiable_no_further(backward)
register_autograd(forward, _backward, setup_context=_save)
