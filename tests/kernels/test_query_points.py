"""Density and colour of points: by hand, and in agreement with what rendering sees."""

from __future__ import annotations

import pytest
import torch

from eg3d_kernels import PlaneMLP, query_points
from tests.golden import relative_error


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


def test_cpu_matches_reference_with_gradients() -> None:
    features = torch.randn(2, 3, 6, 7, 5)
    points = torch.rand(2, 40, 3) - 0.5
    mlp = PlaneMLP(torch.randn(4, 5), torch.randn(4), torch.randn(3, 4), torch.randn(3))
    found = {}
    for implementation in ("reference", "cpu"):
        variables = [t.clone().requires_grad_() for t in (features, points, *mlp)]
        raw_sigma, rgb = query_points(
            variables[0],
            "xy_xz_zy",
            PlaneMLP(*variables[2:]),
            variables[1],
            0.8,
            implementation,  # type: ignore[arg-type]
        )
        gradients = torch.autograd.grad(raw_sigma.square().sum() + rgb.square().sum(), variables)
        found[implementation] = [raw_sigma.detach(), rgb.detach(), *gradients]
    for actual, expected in zip(found["cpu"], found["reference"], strict=True):
        assert relative_error(actual, expected) < 1e-5  # float32 sums in another order


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
