"""`bias_act` in C++."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.library import register_autograd, register_fake

from .._backend import call
from .images import channels_last, new_images, typed
from .registration import differentiable_no_further, operator

INPUTS = "Tensor? bias, Tensor? noise, float slope, float gain, float clamp"


def bias_act(
    x: Tensor, bias: Tensor | None, noise: Tensor | None, slope: float, gain: float, clamp: float, in_place: bool
) -> Tensor:
    """See `eg3d_kernels.reference.bias_act`."""
    if in_place and x.is_contiguous(memory_format=torch.channels_last):
        forward_in_place(x, bias, noise, slope, gain, clamp)
        return x
    return forward(x, bias, noise, slope, gain, clamp)


@operator(f"bias_act(Tensor x, {INPUTS}) -> Tensor")
def forward(x: Tensor, bias: Tensor | None, noise: Tensor | None, *settings: float) -> Tensor:
    """A new tensor, channels last."""
    out = new_images(x, x.shape)
    _run(channels_last(x), bias, noise, settings, out)
    return out


@register_fake(forward)
def _new_output(x: Tensor, *_rest: Any) -> Tensor:
    return new_images(x, x.shape)


@operator(f"bias_act_(Tensor(a!) x, {INPUTS}) -> ()")
def forward_in_place(x: Tensor, bias: Tensor | None, noise: Tensor | None, *settings: float) -> None:
    """Overwrites x, which is channels last."""
    _run(x, bias, noise, settings, x)
    torch.autograd.graph.increment_version(x)


@register_fake(forward_in_place)
def _nothing_new(x: Tensor, *_rest: Any) -> None:
    return None


def _run(x: Tensor, bias: Tensor | None, noise: Tensor | None, settings: tuple[float, ...], out: Tensor) -> None:
    n, c, h, w = x.shape
    added = [None if t is None else t.contiguous() for t in (bias, noise)]
    sizes = (n, h * w, c, 0 if noise is None else noise.shape[0])
    call(typed("eg3d_bias_act", x), x, *added, out, *sizes, *map(float, settings))


@operator(
    "bias_act_backward(Tensor grad, Tensor y, bool bias, bool noise, float slope, float gain, float clamp)"
    " -> (Tensor, Tensor, Tensor)"
)
def backward(grad: Tensor, y: Tensor, bias: bool, noise: bool, *settings: float) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, bias [c] and noise [n, 1, h, w]; of the last two, those not wanted are empty."""
    n, c, h, w = y.shape
    found = _new_gradients(grad, y, bias, noise)
    arrays = (channels_last(grad), channels_last(y), found[0], found[1] if bias else None, found[2] if noise else None)
    call(typed("eg3d_bias_act_backward", y), *arrays, n, h * w, c, *map(float, settings))
    return found


@register_fake(backward)
def _new_gradients(
    grad: Tensor, y: Tensor, bias: bool, noise: bool, *_settings: float
) -> tuple[Tensor, Tensor, Tensor]:
    n, c, h, w = y.shape
    of_noise = y.new_empty((n, 1, h, w) if noise else (0,), dtype=torch.float32)
    return new_images(y, y.shape), y.new_empty((c if bias else 0,), dtype=torch.float32), of_noise


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.noise_images = None if inputs[2] is None else inputs[2].shape[0]
    ctx.settings = inputs[3:]
    ctx.save_for_backward(output)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs = ctx.needs_input_grad
    of_x, of_bias, of_noise = backward(grad, *ctx.saved_tensors, needs[1], needs[2], *ctx.settings)
    if needs[2] and ctx.noise_images == 1:
        of_noise = of_noise.sum(0, keepdim=True)
    return of_x if needs[0] else None, of_bias if needs[1] else None, of_noise if needs[2] else None, None, None, None


differentiable_no_further(backward)
register_autograd(forward, _backward, setup_context=_save)
