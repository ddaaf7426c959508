"""`render_rays` in C++."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .._backend import call
from ..plane_axes import parse_plane_axes
from ..types import PlaneMLP, RayOutputs
from .registration import operator

TENSORS = ("planes", "w0", "b0", "w1", "b1", "origins", "directions", "depths", "u")
SIZES = ("images", "rays", "height", "width", "channels", "hidden", "outputs", "coarse", "fine")
INPUTS = (
    "Tensor planes, Tensor w0, Tensor b0, Tensor w1, Tensor b1, Tensor origins, Tensor directions, Tensor depths, "
    "Tensor? u, int[] axes, float box_warp, bool white_back"
)


class Inputs(ctypes.Structure):
    """The structure `RenderRaysInputs` of csrc/render_rays_cpu.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in (*TENSORS, "axes")),
        *((name, ctypes.c_int64) for name in SIZES),
        ("box_warp", ctypes.c_float),
        ("white_back", ctypes.c_int32),
    ]

    def __init__(
        self, tensors: Sequence[Tensor], u: Tensor | None, axes: list[int], box_warp: float, white_back: bool
    ) -> None:
        planes, w0, _, w1, _, origins, _, depths = tensors
        sizes = (*origins.shape[:2], *planes.shape[2:], w0.shape[0], w1.shape[0], depths.shape[2])
        fine = 0 if u is None else u.shape[2]
        self.arrays = [t.contiguous() for t in (*tensors, *([] if u is None else [u]))]  # kept while pointed at
        self.axes_array = (ctypes.c_int32 * 6)(*axes)
        pointers = [t.data_ptr() for t in self.arrays] + [None] * (u is None)
        super().__init__(*pointers, ctypes.addressof(self.axes_array), *sizes, fine, box_warp, white_back)


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
) -> RayOutputs:
    """See `eg3d_kernels.reference.render_rays`."""
    axes = [axis for pair in parse_plane_axes(plane_axes) for axis in pair]
    out = forward(features, *mlp, origins, directions, depths, u, axes, box_warp, white_back)
    return RayOutputs(*out[:3], *(depth.detach() for depth in out[3:]))


@operator(f"render_rays({INPUTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)")
def forward(*inputs: Any) -> tuple[Tensor, ...]:
    """The fields of `RayOutputs`."""
    out = _new_outputs(*inputs)
    call("eg3d_render_rays", Inputs(inputs[:8], *inputs[8:]), *out)
    return out


@forward.register_fake
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
    *outer, needed = inputs[12:]
    call(
        "eg3d_render_rays_backward",
        Inputs(inputs[:8], *inputs[8:12]),
        *(gradient.contiguous() for gradient in outer),
        *_only(needed, gradients),
    )
    return tuple(gradients)


@backward.register_fake
def _new_gradients(*inputs: Any) -> tuple[Tensor, ...]:
    return tuple(
        t.new_empty((0,) if wanted is None else t.shape)
        for t, wanted in zip(inputs[:7], _only(inputs[-1], inputs[:7]), strict=True)
    )


def _only(needed: Sequence[bool], tensors: Sequence[Tensor]) -> list[Tensor | None]:
    """None in the place of what is not needed."""
    groups = (0, 1, 1, 1, 1, 2, 2)  # planes, decoder, rays
    return [tensor if needed[group] else None for group, tensor in zip(groups, tensors, strict=True)]


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:9])
    ctx.settings = inputs[9:]


def _backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
    needs = ctx.needs_input_grad
    needed = [needs[0], any(needs[1:5]), any(needs[5:7])]
    gradients = backward(*ctx.saved_tensors, *ctx.settings, *outer[:3], needed)
    return (*_only(needed, gradients), *[None] * 5)


forward.register_autograd(_backward, setup_context=_save)
