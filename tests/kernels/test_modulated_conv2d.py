"""The modulated convolution: against its definition, and the compiled op against the plain one."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from eg3d_kernels import KernelUnavailableError, modulated_conv2d
from eg3d_kernels.cpu.modulated_conv2d import backward, forward
from tests.golden import relative_error
from tests.kernels.agreement import check_agreement, check_threads_change_nothing, values_and_gradients


@dataclass(frozen=True)
class Case:
    name: str
    n: int = 2
    size: tuple[int, int] = (9, 7)
    channels: tuple[int, int] = (6, 5)
    k: int = 3
    demodulate: bool = True
    up: bool = False
    channels_last: bool = True

    def inputs(self) -> list[Tensor]:
        torch.manual_seed(0)
        n_in, n_out = self.channels
        x = torch.randn(self.n, n_in, *self.size)
        x = x.contiguous(memory_format=torch.channels_last) if self.channels_last else x
        return [x, torch.randn(n_out, n_in, self.k, self.k), torch.randn(self.n, n_in)]

    def run(self, x: Tensor, weight: Tensor, styles: Tensor, implementation: str) -> Tensor:
        return modulated_conv2d(
            x,
            weight,
            styles,
            demodulate=self.demodulate,
            up=self.up,
            implementation=implementation,  # type: ignore[arg-type]
        )


CASES = [
    Case("layer"),
    Case("one_sample", n=1),
    Case("one_small_sample", n=1, size=(2, 3)),
    Case("doubled", up=True),
    Case("one_sample_doubled", n=1, up=True),
    Case("one_pixel_doubled", n=1, size=(1, 1), up=True),
    Case("to_rgb", k=1, demodulate=False, channels=(16, 3)),
    Case("one_sample_to_rgb", n=1, k=1, demodulate=False, channels=(16, 3)),
    Case("plain", demodulate=False),
    Case("plain_doubled", demodulate=False, up=True),
    Case("not_channels_last", channels_last=False),
    Case("one_channel", channels=(1, 1), demodulate=False),
    Case("side_of_five", k=5),
    Case("wide", channels=(64, 48), size=(16, 16)),
    Case("no_images", n=0),
    Case("no_images_doubled", n=0, up=True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cpu_matches_reference(case: Case) -> None:
    check_agreement(case.run, case.inputs())


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
@pytest.mark.parametrize("n", [1, 2])
def test_each_sample_has_weights_of_its_own(n: int, implementation: str) -> None:
    case = Case("definition", n=n)
    x, weight, styles = case.inputs()
    found = case.run(x, weight, styles, implementation)
    for i in range(n):
        own = weight * styles[i, :, None, None]
        own = own / own.flatten(1).norm(dim=1)[:, None, None, None]
        assert relative_error(found[i], conv2d(x[i][None], own, padding=1)[0]) < 1e-5


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_demodulation_undoes_the_length_of_the_styles(implementation: str) -> None:
    case = Case("length")
    x, weight, styles = case.inputs()
    once, tripled = (case.run(x, weight, factor * styles, implementation) for factor in (1, 3))
    assert torch.allclose(once, tripled, rtol=1e-4, atol=1e-5)


def test_threads_change_nothing() -> None:
    for n in (1, 2):
        for up in (False, True):
            case = Case("threads", n=n, channels=(40, 24), size=(45, 31), up=up)
            check_threads_change_nothing(case.run, case.inputs())


@pytest.mark.parametrize("wanted", [[0], [1], [2], [0, 2]])
@pytest.mark.parametrize("up", [False, True])
def test_gradients_that_are_not_wanted_change_nothing(wanted: list[int], up: bool) -> None:
    case = Case("wanted", up=up)
    inputs = case.inputs()
    everything = values_and_gradients(case.run, inputs, "cpu")

    def some(*arguments: Any) -> Tensor:
        *chosen, implementation = arguments
        given = dict(zip(wanted, chosen, strict=True))
        return case.run(*(given.get(i, t) for i, t in enumerate(inputs)), implementation)

    found = values_and_gradients(some, [inputs[i] for i in wanted], "cpu")
    for i, gradient in zip(wanted, found[1:], strict=True):
        assert torch.equal(gradient, everything[1 + i])


def test_operators_are_registered_correctly() -> None:
    for up in (False, True):
        inputs = [t.requires_grad_() for t in Case("opcheck", size=(4, 5), channels=(3, 2), up=up).inputs()]
        torch.library.opcheck(forward, (*inputs, True, up))
        detached = [t.detach() for t in inputs]
        y = forward(*detached, True, up)
        torch.library.opcheck(backward, (torch.ones_like(y), *detached, y, True, up, [True, False, True]))


def test_named_implementations_raise_on_what_they_cannot_take() -> None:
    inputs = Case("unsuited").inputs()
    with pytest.raises(KernelUnavailableError, match="float64"):
        modulated_conv2d(*(t.double() for t in inputs), implementation="cpu")
    with pytest.raises(KernelUnavailableError, match="cuda"):
        modulated_conv2d(*inputs, implementation="cuda")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 6, 9)}, "x must be"),
        ({"weight": torch.zeros(5, 7, 3, 3)}, "weight must be"),
        ({"weight": torch.zeros(5, 6, 3, 1)}, "weight must be"),
        ({"weight": torch.zeros(5, 6, 2, 2)}, "odd side"),
        ({"weight": torch.zeros(5, 6, 1, 1), "up": True}, "3 with up"),
        ({"styles": torch.zeros(1, 6)}, r"styles must be \[2, 6\]; got \[1, 6\]"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    unchecked = inspect.unwrap(modulated_conv2d)  # without the type checker that tests run under
    inputs = dict(zip(("x", "weight", "styles"), Case("bad").inputs(), strict=True))
    with pytest.raises(ValueError, match=message):
        unchecked(**{**inputs, **change})


def test_one_samples_gradients_may_be_asked_for_one_by_one() -> None:
    """The result is not kept where the weight's gradient tells the same; then that is made whoever asks."""
    case = Case("alone", n=1)
    expected = values_and_gradients(case.run, [t.double() for t in case.inputs()], "reference")[1:]
    for which, wanted in enumerate(expected):
        variables = [t.requires_grad_() for t in case.inputs()]
        out = case.run(*variables, "cpu")
        torch.manual_seed(1)
        (found,) = torch.autograd.grad(out, [variables[which]], torch.randn(out.shape))
        assert relative_error(found.double(), wanted) < 1e-5
