"""Image ops on bfloat16: they read and write that type, and compute in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from eg3d_kernels import BLUR_TAPS, KernelUnavailableError, bias_act, modulated_conv2d, upfirdn2d
from eg3d_kernels.cpu.bias_act import forward as activate
from eg3d_kernels.cpu.modulated_conv2d import forward as convolve
from tests.golden import relative_error
from tests.kernels.agreement import check_threads_change_nothing, values_and_gradients

ROUNDING = 2.0**-8
"""The largest relative error of rounding to bfloat16 once, which has eight bits."""


@dataclass(frozen=True)
class Case:
    name: str
    run: Callable[..., Tensor]
    shapes: tuple[tuple[int, ...], ...]
    """Of x, which is bfloat16, and of what is float32."""

    def inputs(self) -> list[Tensor]:
        torch.manual_seed(0)
        x, *others = (torch.randn(shape) for shape in self.shapes)
        return [x.bfloat16().contiguous(memory_format=torch.channels_last), *others]


def _activated(x: Tensor, bias: Tensor, noise: Tensor, implementation: str) -> Tensor:
    """Without a clamp: what rounds to it has no gradient, what is just below has one."""
    settings = {"activation": "leaky_relu", "gain": 1.4}
    return bias_act(x, bias, noise=noise, **settings, implementation=implementation)  # type: ignore[arg-type]


def _doubled(x: Tensor, implementation: str) -> Tensor:
    return upfirdn2d(x, BLUR_TAPS, up=2, padding=(2, 1), implementation=implementation)  # type: ignore[arg-type]


def _convolved(demodulate: bool, up: bool) -> Callable[..., Tensor]:
    def run(x: Tensor, weight: Tensor, styles: Tensor, implementation: str) -> Tensor:
        settings = {"demodulate": demodulate, "up": up}
        return modulated_conv2d(x, weight, styles, **settings, implementation=implementation)  # type: ignore[arg-type]

    return run


CASES = [
    Case("bias_act", _activated, ((2, 16, 9, 7), (16,), (1, 1, 9, 7))),
    Case("bias_act_odd_channels", _activated, ((1, 5, 3, 4), (5,), (1, 1, 3, 4))),
    Case("upfirdn2d", _doubled, ((2, 6, 5, 4),)),
    *(
        Case(f"modulated_conv2d_{n}{'_doubled' * up}{'_plain' * (not demodulate)}", _convolved(demodulate, up), shapes)
        for n in (1, 2)
        for up in (False, True)
        for demodulate in (True, False)
        for shapes in [((n, 24, 9, 7), (16, 24, 3, 3), (n, 24))]
    ),
]


@pytest.mark.parametrize("implementation", ["cpu", "reference"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_values_and_gradients_differ_from_float64s_by_roundings_alone(case: Case, implementation: str) -> None:
    """Three roundings one after another at most (the input scaled, the weights, the result), of values that add up."""
    expected = values_and_gradients(case.run, [t.double() for t in case.inputs()], "reference")
    found = values_and_gradients(case.run, case.inputs(), implementation)
    kinds = [torch.bfloat16, torch.bfloat16, *[torch.float32] * (len(case.shapes) - 1)]
    for out, wanted, kind in zip(found, expected, kinds, strict=True):
        assert out.dtype == kind
        assert relative_error(out.double(), wanted) < 2 * ROUNDING


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_threads_and_runs_change_nothing(case: Case) -> None:
    check_threads_change_nothing(case.run, case.inputs())


@pytest.mark.parametrize("up", [False, True])
def test_pictures_of_one_head_are_the_same_one_by_one(up: bool) -> None:
    """Samples with the same styles share weights, instead of having each image scaled, which rounds once more."""
    x, weight, styles = Case("alike", _convolved(True, up), ((3, 24, 9, 7), (16, 24, 3, 3), (1, 24))).inputs()
    together = modulated_conv2d(x, weight, styles.expand(3, -1), up=up, implementation="cpu")
    alone = [modulated_conv2d(image[None], weight, styles, up=up, implementation="cpu") for image in x]
    assert relative_error(together.double(), torch.cat(alone).double()) < ROUNDING / 8  # few values round otherwise


def test_stored_values_are_rounded_as_torch_rounds() -> None:
    """To the nearest, ties to even; infinities and NaN stay. Numbers below the smallest normal one may become 0."""
    x = torch.zeros(1, 1, 1, 70000, dtype=torch.bfloat16)
    bits = torch.arange(70000, dtype=torch.int32) * 61_357  # all over the floats below 2^32 / 2
    special = torch.tensor([0x3F808000, 0x3F818000, 0x7F800000, -0x800000, 0x7FC00001, 0x7F7FFFFF], dtype=torch.int32)
    bits[: len(special)] = special
    noise = bits.view(torch.float32).clone()[None, None, None]
    found = bias_act(x, noise=noise, implementation="cpu")
    wanted = noise.bfloat16()
    assert torch.equal(found.isnan(), wanted.isnan())
    normal = noise.abs() >= torch.finfo(torch.float32).tiny
    assert torch.equal(found[normal].nan_to_num(0.0), wanted[normal].nan_to_num(0.0))
    assert (found[~normal & ~noise.isnan()].abs() <= torch.finfo(torch.float32).tiny).all()


def test_weights_must_be_float32() -> None:
    x, weight, styles = CASES[-1].inputs()
    with pytest.raises(KernelUnavailableError, match="bfloat16"):
        modulated_conv2d(x, weight.bfloat16(), styles, implementation="cpu")


def test_operators_are_registered_correctly() -> None:
    x, weight, styles = Case("opcheck", _convolved(True, True), ((1, 4, 5, 4), (3, 4, 3, 3), (1, 4))).inputs()
    torch.library.opcheck(convolve, (x, weight, styles, True, True))
    torch.library.opcheck(activate, (x, None, None, 0.2, 1.0, 1.0))
