"""`modulated_conv2d`: torch's own convolution, channels last, with compiled scaling and filtering around it.

On processors a convolution that doubles the side is four ordinary ones, one for each phase of its result: torch's
transposed convolution runs at a quarter to a half of their rate.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor
from torch.library import register_autograd, register_fake
from torch.nn.functional import conv2d, conv_transpose2d

from .._backend import call
from ..reference.modulated_conv2d import demodulation
from ..resampling import BLUR_TAPS
from .images import channels_last, new_images, typed
from .registration import differentiable_no_further, operator
from .upfirdn2d import resampled, transposed

BLUR = (BLUR_TAPS, 1, 1, 1)
"""Taps, up, down and padding after the transposed convolution."""
PHASES = list(itertools.product(((2, 0), (1,)), repeat=2))
"""Rows and columns of the weights that reach even and odd pixels of the doubled side, as a convolution meets them."""


def modulated_conv2d(x: Tensor, weight: Tensor, styles: Tensor, demodulate: bool, up: bool) -> Tensor:
    """See `eg3d_kernels.modulated_conv2d`."""
    return forward(x, weight, styles, demodulate, up)


@operator("modulated_conv2d(Tensor x, Tensor weight, Tensor styles, bool demodulate, bool up) -> Tensor")
def forward(x: Tensor, weight: Tensor, styles: Tensor, demodulate: bool, up: bool) -> Tensor:
    """Channels last."""
    if not x.numel():
        return _new_output(x, weight, styles, demodulate, up).zero_()
    x = channels_last(x)
    if x.shape[2] * x.shape[3] > weight.shape[2] ** 2 and alike(styles):  # fewer weights to scale than pixels
        parts, factors = modulated(weight, styles[0], demodulate, up, x.dtype), None
    else:
        factors = demodulation(weight, styles) if demodulate else None  # [n, o]
        x, parts = scale_channels(x, styles)[0], modulated(weight, None, False, up, x.dtype)
    if up and len(parts) > 1:
        return blurred_phases(x, parts, factors)
    if up:
        raw = conv_transpose2d(x, parts[0].transpose(0, 1), stride=2)
        return resampled(raw, *BLUR, [2 * side for side in x.shape[2:]], factors)
    out = channels_last(conv2d(x, parts[0], padding=weight.shape[2] // 2))
    return out if factors is None else scale_channels(out, factors, out=out)[0]


@register_fake(forward)
def _new_output(x: Tensor, weight: Tensor, styles: Tensor, demodulate: bool, up: bool) -> Tensor:
    n, _, h, w = x.shape
    return new_images(x, (n, weight.shape[0], *((2 * h, 2 * w) if up else (h, w))))


def on_processor(x: Tensor) -> bool:
    """Whether what only processors have may be used."""
    return x.device.type == "cpu"


def alike(styles: Tensor) -> bool:
    """Whether all samples have the same, as several pictures of one head have; of cards that is not asked."""
    return len(styles) == 1 or (on_processor(styles) and torch.equal(styles[1:], styles[:-1]))


def modulated(weight: Tensor, styles: Tensor | None, demodulate: bool, up: bool, kind: torch.dtype) -> list[Tensor]:
    """Weights [o, i, k, k] times the styles [i] of one sample, demodulated where wanted, in the type `kind`.

    On processors `up` makes four of them, one for each phase of the result: for even rows and columns, even rows and
    odd columns, odd rows and even columns, odd rows and columns.
    """
    if not on_processor(weight):
        if styles is None:
            return [weight.to(kind)]
        scaled = weight * styles[:, None, None]
        return [scaled * demodulation(weight, styles[None])[0, :, None, None, None] if demodulate else scaled]
    outputs, inputs, side, _ = weight.shape
    parts = PHASES if up else [(range(side), range(side))]
    order = [[row * side + column for row in rows for column in columns] for rows, columns in parts]
    sizes = [len(taps) for taps in order]
    out = weight.new_empty(weight.numel(), dtype=kind)
    weight = weight if weight.is_contiguous() else channels_last(weight)
    call(
        typed("eg3d_modulate_weights", out),
        weight,
        weight.new_ones(inputs) if styles is None else styles.contiguous(),
        list(itertools.chain.from_iterable(order)),
        sizes,
        *(out, outputs, inputs, side**2, len(parts), int(not weight.is_contiguous()), int(demodulate)),
    )
    pieces = out.split([outputs * size * inputs for size in sizes])
    return [
        piece.view(outputs, len(rows), len(columns), inputs).permute(0, 3, 1, 2)
        for piece, (rows, columns) in zip(pieces, parts, strict=True)
    ]


def blurred_phases(x: Tensor, weights: list[Tensor], factors: Tensor | None) -> Tensor:
    """The convolution of x [n, i, h, w] that doubles the side, filtered, times factors [n, o]; no gradient."""
    n, _, h, w = x.shape
    phases = [channels_last(conv2d(x, part, padding=[side - 1 for side in part.shape[2:]])) for part in weights]
    outputs = len(weights[0])
    taps = x.new_tensor(BLUR_TAPS, dtype=torch.float32)
    out = new_images(x, (n, outputs, 2 * h, 2 * w))
    scale = None if factors is None else factors.contiguous()
    call(typed("eg3d_blur_phases", x), *phases, taps, scale, out, n, h, w, outputs)
    return out


def scale_channels(
    x: Tensor, scale: Tensor, other: Tensor | None = None, out: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """x [n, c, h, w] times scale [n, c], into `out` if given; and the sums over pixels of x times `other` [n, c]."""
    n, c, h, w = x.shape
    out = new_images(x, x.shape) if out is None else out
    dots = x.new_empty((0,) if other is None else (n, c), dtype=torch.float32)
    other = None if other is None else channels_last(other)
    call(typed("eg3d_scale_channels", x), channels_last(x), scale.contiguous(), other, out, dots, n, h * w, c)
    return out, dots


@operator(
    "modulated_conv2d_backward(Tensor grad, Tensor x, Tensor weight, Tensor styles, Tensor y, bool demodulate, bool up,"
    " bool[] needed) -> (Tensor, Tensor, Tensor)"
)
def backward(
    grad: Tensor, x: Tensor, weight: Tensor, styles: Tensor, y: Tensor, demodulate: bool, up: bool, needed: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and styles, from the result y; those not needed are empty. See `_save` for an empty y."""
    of_x, of_weight, of_styles = _new_gradients(grad, x, weight, styles, y, demodulate, up, needed)
    if not x.numel():
        return of_x, of_weight.zero_(), of_styles.zero_()
    grad = channels_last(grad)
    if demodulate:
        factors = demodulation(weight, styles)
        grad, products = scale_channels(grad, factors, y if y.numel() else None)  # [n, o]: of grad and y, summed
    if up:
        grad = resampled(grad, *transposed(*BLUR), [2 * side + 1 for side in x.shape[2:]], None)
    scaled = scale_channels(x, styles)[0] if needed[1] else x  # read only for the weights' gradient
    grad_scaled, grad_weight = _convolution_backward(grad, scaled, weight, up, [needed[0] or needed[2], needed[1]])
    if demodulate:
        if grad_weight is not None and not y.numel():
            products = (weight * grad_weight).sum((1, 2, 3))[None]  # the same, as the convolution is linear
        of_squares = -0.5 * factors.square() * products  # of the squared lengths; y is already scaled
    if grad_scaled is not None:
        of_x, dots = scale_channels(grad_scaled, styles, x if needed[2] else None, of_x if needed[0] else None)
        if needed[2]:
            of_styles.copy_(dots)
            if demodulate:
                of_styles += 2 * styles * (of_squares @ weight.square().sum((2, 3)))
    if grad_weight is not None:
        of_weight.copy_(grad_weight)
        if demodulate:
            of_weight += 2 * weight * (of_squares.T @ styles.square())[:, :, None, None]
    return of_x if needed[0] else x.new_empty(0), of_weight, of_styles


@register_fake(backward)
def _new_gradients(
    grad: Tensor, x: Tensor, weight: Tensor, styles: Tensor, y: Tensor, demodulate: bool, up: bool, needed: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        new_images(x, x.shape) if needed[0] else x.new_empty(0),
        weight.new_empty(weight.shape if needed[1] else (0,)),
        styles.new_empty(styles.shape if needed[2] else (0,)),
    )


def _convolution_backward(
    grad: Tensor, x: Tensor, weight: Tensor, up: bool, needed: list[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of x and weight of the convolution alone; None where not needed."""
    stride, padding = (2, 0) if up else (1, weight.shape[2] // 2)
    used = (weight.transpose(0, 1) if up else weight).to(x.dtype)
    settings = ([stride] * 2, [padding] * 2, [1, 1], up, [0, 0], 1)
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(grad, x, used, None, *settings, [*needed, False])
    return of_x, of_weight.transpose(0, 1) if up and of_weight is not None else of_weight


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Of one sample, the weight's gradient tells what y would; y is not kept then, which halves what a layer keeps."""
    x, weight, styles, ctx.demodulate, ctx.up = inputs
    y_helps = ctx.demodulate and not (len(x) == 1 and ctx.needs_input_grad[1])
    ctx.save_for_backward(x, weight, styles, output if y_helps else output.new_empty(0))


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    needed = list(ctx.needs_input_grad[:3])
    found = backward(grad, *ctx.saved_tensors, ctx.demodulate, ctx.up, needed)
    return (*(g if need else None for g, need in zip(found, needed, strict=True)), None, None)


differentiable_no_further(backward)
register_autograd(forward, _backward, setup_context=_save)
