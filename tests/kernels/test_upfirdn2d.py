"""Resampling: by hand, and the compiled op against the plain one."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from eg3d_kernels import BLUR_TAPS, KernelUnavailableError, upfirdn2d
from eg3d_kernels.cpu.upfirdn2d import forward
from tests.kernels.agreement import check_agreement, check_threads_change_nothing


@dataclass(frozen=True)
class Case:
    name: str
    shape: tuple[int, int, int, int] = (2, 16, 9, 7)
    taps: tuple[float, ...] = BLUR_TAPS
    up: int = 1
    down: int = 1
    padding: tuple[int, int] = (2, 1)
    channels_last: bool = True

    def input(self) -> Tensor:
        torch.manual_seed(0)
        x = torch.randn(self.shape)
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x

    def run(self, x: Tensor, implementation: str) -> Tensor:
        return upfirdn2d(
            x,
            self.taps,
            up=self.up,
            down=self.down,
            padding=self.padding,
            implementation=implementation,  # type: ignore[arg-type]
        )


CASES = [
    Case("double", up=2),
    Case("blur", padding=(1, 1)),
    Case("halve", down=2, padding=(1, 1)),
    Case("three_channels", shape=(1, 3, 8, 8), up=2),
    Case("not_channels_last", channels_last=False, up=2),
    Case("asymmetric", taps=(1.0, -2.0, 0.5), up=2, down=3, padding=(4, 2)),
    Case("cropped", taps=(0.5, 1.0, 2.0, 3.0, 4.0), up=3, down=2, padding=(-1, -2)),
    Case("nothing_to_do", taps=(1.0,), padding=(0, 0)),
    Case("one_pixel", shape=(1, 1, 1, 1), up=2),
    Case("one_pixel_from_padding_alone", shape=(1, 1, 1, 1), padding=(6, -2)),
    Case("no_images", shape=(0, 4, 3, 3), up=2),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cpu_matches_reference(case: Case) -> None:
    check_agreement(case.run, [case.input()])


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_a_point_spreads_as_the_taps_say(implementation: str) -> None:
    point = torch.zeros(1, 1, 1, 3)
    point[..., 1] = 1
    case = Case("hand", taps=(1.0, 2.0, 4.0), up=2, padding=(1, 1))
    found = case.run(point, implementation)
    # Zero insertion puts the point at 2, the padding at 3; it lands at 1, 2, 3 as the taps 1, 2, 4 in that order.
    assert found.shape == (1, 1, 2, 6)
    assert found[0, 0, 0].tolist() == [0, 2, 4, 8, 0, 0]
    assert found[0, 0, 1].tolist() == [0, 4, 8, 16, 0, 0]


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_doubling_keeps_a_constant_away_from_the_edges(implementation: str) -> None:
    found = Case("constant", up=2).run(torch.full((1, 2, 6, 6), 3.0), implementation)
    assert torch.allclose(found[..., 2:-2, 2:-2], torch.tensor(3.0))


def test_gradients_can_be_differentiated_again() -> None:
    case = Case("twice", shape=(1, 2, 4, 4), up=2)
    found = []
    for implementation in ("reference", "cpu"):
        x = case.input().requires_grad_()
        (first,) = torch.autograd.grad(case.run(x, implementation).pow(3).sum(), x, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), x)[0])
    assert torch.allclose(found[0], found[1], rtol=1e-4, atol=1e-3 * found[0].abs().max().item())


def test_threads_change_nothing() -> None:
    case = Case("threads", shape=(2, 20, 45, 31), up=2)
    check_threads_change_nothing(case.run, [case.input()])


def test_operators_are_registered_correctly() -> None:
    x = Case("opcheck", shape=(2, 3, 4, 5)).input().requires_grad_()
    torch.library.opcheck(forward, (x, list(BLUR_TAPS), 2, 1, 1, [8, 10]))


def test_named_implementations_raise_on_what_they_cannot_take() -> None:
    with pytest.raises(KernelUnavailableError, match="float64"):
        upfirdn2d(torch.zeros(1, 1, 4, 4).double(), BLUR_TAPS, implementation="cpu")
    with pytest.raises(KernelUnavailableError, match="cuda"):
        upfirdn2d(torch.zeros(1, 1, 4, 4), BLUR_TAPS, implementation="cuda")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 16, 9)}, "x must be"),
        ({"up": 0}, "at least 1"),
        ({"taps": ()}, "taps not empty"),
        ({"padding": (-8, 0)}, "No pixel is left"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    unchecked = inspect.unwrap(upfirdn2d)  # without the type checker that tests run under
    with pytest.raises(ValueError, match=message):
        unchecked(**{"x": torch.zeros(1, 1, 4, 4), "taps": BLUR_TAPS, **change})
