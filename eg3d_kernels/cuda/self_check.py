"""Compares a compiled op with the plain one on a device, values and gradients, on small inputs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..resampling import BLUR_TAPS
from ..types import PlaneMLP

TOLERANCE = 5e-3
"""Largest difference, relative to the largest value. On the host those that agree differ by less than 1e-5; the rest
is for products that torch lets cards round to ten bits (TF32). Wrong kernels differ by much more."""


def worst_difference(op: str, device: torch.device) -> float:
    """The largest difference between the compiled op and the plain one; infinite where one is not finite.

    It is relative to the largest value of each result: of the op itself, and of each gradient.
    """
    run, inputs = EXAMPLES[op]()
    compiled, plain = (_values_and_gradients(run, inputs, device, which) for which in (True, False))
    return max(_difference(*pair) for pair in zip(compiled, plain, strict=True))


Run = Callable[[list[Tensor], bool], Tensor]
"""Takes the inputs, and whether to run the compiled op."""


def _values_and_gradients(run: Run, inputs: list[Tensor], device: torch.device, compiled: bool) -> list[Tensor]:
    with torch.enable_grad():
        variables = [t.to(device).requires_grad_() for t in inputs]
        out = run(variables, compiled)
        outer = torch.linspace(-1, 2, out.numel(), device=device).view(out.shape)
        return [out.detach(), *torch.autograd.grad(out, variables, outer)]


def _difference(found: Tensor, wanted: Tensor) -> float:
    if found.shape != wanted.shape or not bool(found.isfinite().all()):
        return float("inf")
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-6))


def _wave(*shape: int, phase: float, scale: float = 1.0) -> Tensor:
    """Values of about the size `scale` in no simple order; torch's random numbers are left as they are."""
    count = torch.Size(shape).numel()
    return (torch.arange(count, dtype=torch.float64).square() * 0.37 + phase).sin().mul(scale).float().view(shape)


def _sample_planes() -> tuple[Run, list[Tensor]]:
    from .. import cpu, reference

    def run(inputs: list[Tensor], compiled: bool) -> Tensor:
        return (cpu if compiled else reference).sample_planes(inputs[0], inputs[1], "xy_xz_zx")

    return run, [_wave(2, 3, 5, 7, 4, phase=0.1), _wave(2, 9, 3, phase=0.2, scale=1.2)]


def _query_points() -> tuple[Run, list[Tensor]]:
    from .. import cpu, reference

    mlp = [_wave(8, 4, phase=0.5), _wave(8, phase=0.6), _wave(4, 8, phase=0.7), _wave(4, phase=0.8)]

    def run(inputs: list[Tensor], compiled: bool) -> Tensor:
        planes, *weights, points = inputs
        found = (cpu if compiled else reference).query_points(planes, "xy_xz_zx", PlaneMLP(*weights), points, 1.0)
        return torch.cat(found, dim=-1)

    return run, [_wave(2, 3, 6, 6, 4, phase=0.9), *mlp, _wave(2, 7, 3, phase=0.2, scale=0.6)]


def _render_rays() -> tuple[Run, list[Tensor]]:
    from .. import cpu, reference

    directions = torch.nn.functional.normalize(_wave(2, 6, 3, phase=0.3, scale=0.1) - torch.eye(3)[2], dim=-1)
    origins = _wave(2, 6, 3, phase=0.4, scale=0.02) + 1.5 * torch.eye(3)[2]
    depths = torch.linspace(1, 2, 6).expand(2, 6, 6)
    u = torch.linspace(0.07, 0.93, 5).expand(2, 6, 5)
    mlp = [_wave(8, 4, phase=0.5), _wave(8, phase=0.6), _wave(4, 8, phase=0.7), _wave(4, phase=0.8)]

    def run(inputs: list[Tensor], compiled: bool) -> Tensor:
        planes, *weights, starts, aims = inputs
        device = planes.device
        sampled = depths.to(device), u.to(device)
        arguments = (planes, "xy_xz_zx", PlaneMLP(*weights), starts, aims, *sampled, 1.0, True)
        rendered = cpu.render_rays(*arguments, 0.0) if compiled else reference.render_rays(*arguments)
        return torch.cat([rendered.features, rendered.depth[..., None], rendered.opacity[..., None]], dim=-1)

    return run, [_wave(2, 3, 6, 6, 4, phase=0.9), *mlp, origins, directions]


def _bias_act() -> tuple[Run, list[Tensor]]:
    from .. import cpu, reference

    def run(inputs: list[Tensor], compiled: bool) -> Tensor:
        x, bias, noise = inputs
        if compiled:
            return cpu.bias_act(x, bias, noise, 0.2, 1.4, 1.1, False)
        return reference.bias_act(x, bias, noise, 0.2, 1.4, 1.1)

    return run, [_wave(2, 5, 4, 3, phase=0.1), _wave(5, phase=0.2), _wave(1, 1, 4, 3, phase=0.3)]


def _upfirdn2d() -> tuple[Run, list[Tensor]]:
    from .. import cpu, reference

    def run(inputs: list[Tensor], compiled: bool) -> Tensor:
        if compiled:
            return cpu.upfirdn2d(inputs[0], BLUR_TAPS, 2, 1, 2, (10, 8))
        return reference.upfirdn2d(inputs[0], BLUR_TAPS, 2, 1, (2, 1))

    return run, [_wave(2, 3, 5, 4, phase=0.1)]


def _modulated_conv2d() -> tuple[Run, list[Tensor]]:
    from .. import cpu, reference

    def run(inputs: list[Tensor], compiled: bool) -> Tensor:
        x, weight, styles = inputs
        return (cpu if compiled else reference).modulated_conv2d(x, weight, styles, True, True)

    return run, [_wave(2, 4, 5, 4, phase=0.1), _wave(3, 4, 3, 3, phase=0.2), _wave(2, 4, phase=0.3) + 1.5]


EXAMPLES: dict[str, Callable[[], tuple[Run, list[Tensor]]]] = {
    "sample_planes": _sample_planes,
    "query_points": _query_points,
    "render_rays": _render_rays,
    "bias_act": _bias_act,
    "upfirdn2d": _upfirdn2d,
    "modulated_conv2d": _modulated_conv2d,
}
