"""Density and colour of points: by hand, and in agreement with what rendering sees."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from eg3d_kernels import KernelUnavailableError, PlaneMLP, query_points
from eg3d_kernels.cpu.query_points import backward, forward
from tests.golden import relative_error
from tests.kernels.agreement import check_threads_change_nothing


def constant_mlp(raw_sigma: float, logit: float, channels: int) -> PlaneMLP:
    """A decoder that gives every point the same."""
    return PlaneMLP(
        torch.zeros(4, channels), torch.zeros(4), torch.zeros(3, 4), torch.tensor([raw_sigma, logit, -logit])
    )


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_colors_reach_slightly_past_0_and_1(implementation: str) -> None:
    mlp = constant_mlp(raw_sigma=7.0, logit=100.0, channels=8)
    raw_sigma, rgb = query_points(
        torch.randn(1, 3, 4, 4, 8),
        "xy_xz_zx",
        mlp,
        torch.rand(1, 5, 3),
        1.0,
        implementation,  # type: ignore[arg-type]
    )
    assert raw_sigma.unique().tolist() == [7.0]
    assert rgb[0, 0].tolist() == pytest.approx([1.001, -0.001])


@dataclass(frozen=True)
class Case:
    name: str
    n: int = 2
    p: int = 40
    size: tuple[int, int] = (6, 7)
    c: int = 5
    hidden: int = 4
    colors: int = 2
    spread: float = 1.0
    plane_axes: str = "xy_xz_zy"

    def inputs(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, PlaneMLP, Tensor]:
        """Planes, decoder, points; the points are not contiguous."""
        torch.manual_seed(0)
        w0 = torch.randn(self.hidden, self.c) * 2 / math.sqrt(self.c)
        w1 = torch.randn(1 + self.colors, self.hidden) * 2 / math.sqrt(self.hidden)
        mlp = (w0, torch.randn(self.hidden), w1)
        features = torch.randn(self.n, 3, *self.size, self.c)
        points = ((torch.rand(3, self.n, self.p) - 0.5) * self.spread).permute(1, 2, 0)
        return (
            features.to(dtype),
            PlaneMLP(*(t.to(dtype) for t in (*mlp, torch.randn(1 + self.colors)))),
            points.to(dtype),
        )

    def run(self, features: Tensor, mlp: PlaneMLP, points: Tensor, implementation: str) -> tuple[Tensor, Tensor]:
        return query_points(features, self.plane_axes, mlp, points, 0.8, implementation)  # type: ignore[arg-type]


CASES = [
    Case("some"),
    Case("published", p=700, size=(16, 16), c=32, hidden=64, colors=32, plane_axes="xy_xz_zx"),
    Case("odd_sizes", n=3, p=301, size=(11, 5), c=7, hidden=9, colors=3),
    Case("one_point", n=1, p=1),
    Case("mostly_outside", spread=4.0),
    Case("many_images", n=9, p=5),
    Case("no_points", p=0),
    Case("no_images", n=0),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cpu_matches_reference(case: Case) -> None:
    """Values to 1e-5 and gradients to 1e-4; the reference runs in float64."""
    found = {}
    for implementation, dtype in (("reference", torch.float64), ("cpu", torch.float32)):
        features, mlp, points = case.inputs(dtype)
        variables = [t.clone().requires_grad_() for t in (features, points, *mlp)]
        out = case.run(variables[0], PlaneMLP(*variables[2:]), variables[1], implementation)
        torch.manual_seed(1)
        scalar = sum((t * torch.randn(t.shape)).sum() for t in out)
        found[implementation] = ([t.detach() for t in out], torch.autograd.grad(scalar, variables))
    for tolerance, actual, expected in zip((1e-5, 1e-4), found["cpu"], found["reference"], strict=True):
        for value, wanted in zip(actual, expected, strict=True):
            assert value.shape == wanted.shape
            assert not wanted.numel() or relative_error(value.double(), wanted) < tolerance


@pytest.mark.parametrize("which", [0, 1], ids=["raw_sigma", "rgb"])
def test_threads_change_nothing(which: int) -> None:
    case = Case("threads", n=3, p=1001)
    features, mlp, points = case.inputs()
    check_threads_change_nothing(lambda x, implementation: case.run(x, mlp, points, implementation)[which], [features])


@pytest.mark.parametrize("wanted", [["features"], ["mlp"], ["points"]])
def test_gradients_that_are_not_wanted_change_nothing(wanted: list[str]) -> None:
    case = Case("wanted")
    features, mlp, points = case.inputs()
    everything = [t.clone().requires_grad_() for t in (features, *mlp, points)]
    names = ["features", *["mlp"] * 4, "points"]
    out = case.run(everything[0], PlaneMLP(*everything[1:5]), everything[5], "cpu")
    expected = torch.autograd.grad(out[0].sum() + out[1].sum(), everything)
    some = [t if name in wanted else t.detach() for name, t in zip(names, everything, strict=True)]
    out = case.run(some[0], PlaneMLP(*some[1:5]), some[5], "cpu")
    used = [t for t in some if t.requires_grad]
    found = torch.autograd.grad(out[0].sum() + out[1].sum(), used)
    for actual, value in zip(
        found, [e for e, name in zip(expected, names, strict=True) if name in wanted], strict=True
    ):
        assert torch.equal(actual, value)


def test_operators_are_registered_correctly() -> None:
    features, mlp, points = Case("opcheck", n=1, p=5).inputs()
    variables = [t.clone().requires_grad_() for t in (features, *mlp, points)]
    axes = [0, 1, 0, 2, 2, 1]
    torch.library.opcheck(forward, (*variables, axes, 0.8))
    outer = (torch.ones(1, 5, 1), torch.ones(1, 5, 2), [True, False, True])
    torch.library.opcheck(backward, (*(t.detach() for t in variables), axes, 0.8, *outer))


def test_other_shapes_are_refused() -> None:
    features, mlp, points = Case("shapes").inputs()
    unchecked = inspect.unwrap(query_points)  # without the tests' check of annotations, which comes first
    with pytest.raises(ValueError, match=r"points must be \[2, 40, 3\]; got \[2, 40, 2\]"):
        unchecked(features, "xy_xz_zx", mlp, points[..., :2], 1.0)
    with pytest.raises(ValueError, match=r"mlp.w0 must be \[4, 5\]; got \[4, 4\]"):
        unchecked(features, "xy_xz_zx", mlp._replace(w0=torch.zeros(4, 4)), points, 1.0)
    with pytest.raises(KernelUnavailableError):
        query_points(features.double(), "xy_xz_zx", PlaneMLP(*(t.double() for t in mlp)), points.double(), 1.0, "cpu")


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_no_points_give_nothing(implementation: str) -> None:
    raw_sigma, rgb = query_points(
        torch.randn(1, 3, 4, 4, 8),
        "xy_xz_zx",
        constant_mlp(0.0, 0.0, 8),
        torch.zeros(1, 0, 3),
        1.0,
        implementation,  # type: ignore[arg-type]
    )
    assert raw_sigma.shape == (1, 0, 1)
    assert rgb.shape == (1, 0, 2)
