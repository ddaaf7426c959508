"""Noise, bias, activation, gain and clamp: by hand, and the compiled op against the plain one."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from eg3d_kernels import KernelUnavailableError, bias_act
from eg3d_kernels.cpu.bias_act import backward, forward, forward_in_place
from tests.kernels.agreement import check_agreement, check_threads_change_nothing


@dataclass(frozen=True)
class Case:
    name: str
    shape: tuple[int, int, int, int] = (2, 16, 9, 7)
    noise_images: int = 2
    activation: str = "leaky_relu"
    clamp: float | None = 1.5
    channels_last: bool = True

    def inputs(self) -> list[Tensor]:
        torch.manual_seed(0)
        n, c, h, w = self.shape
        x = torch.randn(self.shape)
        x = x.contiguous(memory_format=torch.channels_last) if self.channels_last else x
        noise = [torch.randn(self.noise_images, 1, h, w)] if self.noise_images else []
        return [x, torch.randn(c), *noise]

    def run(self, *arguments: Any) -> Tensor:
        x, bias, *noise, implementation = arguments
        return bias_act(
            x,
            bias,
            noise=noise[0] if noise else None,
            activation=self.activation,  # type: ignore[arg-type]
            gain=2**0.5,
            clamp=self.clamp,
            implementation=implementation,
        )


CASES = [
    Case("layer"),
    Case("noise_for_all", noise_images=1),
    Case("no_noise", noise_images=0),
    Case("linear", activation="linear"),
    Case("no_clamp", clamp=None),
    Case("not_channels_last", channels_last=False),
    Case("three_channels", shape=(1, 3, 8, 8), noise_images=1),
    Case("odd", shape=(3, 13, 5, 1), noise_images=3),
    Case("one_value", shape=(1, 1, 1, 1), noise_images=1),
    Case("many_pixels", shape=(2, 5, 40, 33)),
    Case("no_images", shape=(0, 4, 3, 3), noise_images=1),
    Case("no_pixels", shape=(2, 4, 0, 3)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cpu_matches_reference(case: Case) -> None:
    check_agreement(case.run, case.inputs())


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_values_by_hand(implementation: str) -> None:
    x = torch.tensor([-3.0, -1.0, 0.5, 4.0]).view(1, 1, 1, 4)
    found = bias_act(
        x,
        torch.tensor([1.0]),
        noise=torch.tensor([0.0, -1.0, 0.0, 0.0]).view(1, 1, 1, 4),
        activation="leaky_relu",
        gain=2.0,
        clamp=3.5,
        implementation=implementation,  # type: ignore[arg-type]
    )
    assert found.flatten().tolist() == pytest.approx([-0.8, -0.4, 3.0, 3.5])


def test_threads_change_nothing() -> None:
    case = Case("threads", shape=(2, 20, 45, 31))
    check_threads_change_nothing(case.run, case.inputs())


def test_in_place_overwrites_where_no_gradient_is_wanted() -> None:
    x, bias, noise = Case("in_place").inputs()
    expected = bias_act(x, bias, noise=noise, implementation="cpu")
    found = bias_act(x, bias, noise=noise, in_place=True, implementation="cpu")
    assert found.data_ptr() == x.data_ptr()
    assert torch.equal(found, expected)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_in_place_spares_what_gradients_need(which: int) -> None:
    inputs = Case("in_place").inputs()
    inputs[which].requires_grad_()
    kept = inputs[0].detach().clone()
    bias_act(inputs[0], inputs[1], noise=inputs[2], in_place=True, implementation="cpu").sum().backward()
    assert torch.equal(inputs[0].detach(), kept)
    assert inputs[which].grad is not None


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_nan_stays_nan(implementation: str) -> None:
    x = torch.full((1, 8, 1, 2), torch.nan)
    found = bias_act(x, clamp=1.0, activation="leaky_relu", implementation=implementation)  # type: ignore[arg-type]
    assert found.isnan().all()


def test_operators_are_registered_correctly() -> None:
    x, bias, noise = (t.requires_grad_() for t in Case("opcheck", shape=(2, 3, 4, 5)).inputs())
    settings = (0.2, 1.4, 1.5)
    torch.library.opcheck(forward, (x, bias, noise, *settings))
    torch.library.opcheck(forward, (x, None, None, *settings))
    torch.library.opcheck(forward_in_place, (x.detach(), bias.detach(), noise.detach(), *settings))
    torch.library.opcheck(backward, (x.detach(), x.detach(), True, False, *settings))


def test_named_cpu_raises_on_what_it_cannot_take() -> None:
    with pytest.raises(KernelUnavailableError, match="float64"):
        bias_act(torch.zeros(1, 1, 1, 1).double(), implementation="cpu")
    with pytest.raises(KernelUnavailableError, match="cuda"):
        bias_act(torch.zeros(1, 1, 1, 1), implementation="cuda")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 16, 9)}, "x must be"),
        ({"bias": torch.zeros(15)}, r"bias must be \[16\]; got \[15\]"),
        ({"noise": torch.zeros(3, 1, 9, 7)}, "noise must be"),
        ({"noise": torch.zeros(1, 16, 9, 7)}, "noise must be"),
        ({"activation": "relu"}, "activation must be"),
        ({"gain": 0.0}, "more than 0"),
        ({"clamp": -1.0}, "more than 0"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    unchecked = inspect.unwrap(bias_act)  # without the type checker that tests run under
    with pytest.raises(ValueError, match=message):
        unchecked(**{"x": Case("bad").inputs()[0], **change})
