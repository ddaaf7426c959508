"""Rays and points of a real head (the embedded model's): surfaces, empty space, dark insides."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from eg3d_kernels import PlaneMLP, query_points, render_rays
from tests.golden import relative_error
from threedpsp.eg3d.rays import camera_rays
from threedpsp.weights.systems import load_generator


@pytest.fixture(scope="module")
def head() -> dict[str, Any]:
    """The arguments of `render_rays` for every seventh ray of the front view."""
    generator = load_generator("tiny", device="cpu")
    config = generator.config
    z = torch.randn(1, config.z_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        planes = generator.planes(generator.mapping(z, generator.frontal_camera))
    rays = camera_rays(generator.frontal_camera, config.neural_rendering_resolution)
    settings = config.rendering
    return {
        "features": planes.features.detach(),
        "plane_axes": planes.plane_axes,
        "mlp": PlaneMLP(*(t.detach() for t in generator.decoder.mlp())),
        "origins": rays.origins[:, ::7],
        "directions": rays.directions[:, ::7],
        "ray_start": settings.ray_start,
        "ray_end": settings.ray_end,
        "box_warp": planes.box_warp,
        "depth_resolution": 48,
        "depth_resolution_importance": 48,
        "clip_to_box": settings.clip_to_box,
    }


def as_double(arguments: dict[str, Any]) -> dict[str, Any]:
    made = {name: value.double() if isinstance(value, Tensor) else value for name, value in arguments.items()}
    return {**made, "mlp": PlaneMLP(*(t.double() for t in arguments["mlp"]))}


def test_rays_match_the_reference(head: dict[str, Any]) -> None:
    """Values to 1e-5 and gradients to 1e-4, the reference in float64."""
    outer = torch.randn(1, head["origins"].shape[1], 16, generator=torch.Generator().manual_seed(1))
    results = []
    for arguments, implementation in ((as_double(head), "reference"), (head, "cpu")):
        variables = [
            arguments["features"].clone().requires_grad_(),
            *(t.clone().requires_grad_() for t in arguments["mlp"]),
        ]
        own = {**arguments, "features": variables[0], "mlp": PlaneMLP(*variables[1:])}
        out = render_rays(**own, implementation=implementation)  # type: ignore[arg-type]
        gradients = torch.autograd.grad((out.features * outer).sum(), variables)
        results.append(([out.features.detach(), out.opacity.detach()], gradients))
    (expected, expected_gradients), (actual, gradients) = results
    for found, wanted in zip(actual, expected, strict=True):
        assert relative_error(found.double(), wanted) < 1e-5
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        assert relative_error(found.double(), wanted) < 1e-4


def test_samples_in_the_dark_hardly_count(head: dict[str, Any]) -> None:
    exact = render_rays(**head, implementation="cpu")
    fast = render_rays(**head, min_transmittance=1e-5, implementation="cpu")
    error = (fast.features - exact.features).abs().max()
    assert 0 < error < 5e-5
    assert (fast.opacity - exact.opacity).abs().max() < 2e-5
    assert torch.equal(fast.depth_min, exact.depth_min)
    assert torch.equal(fast.depth_max, exact.depth_max)


def test_leaving_samples_out_changes_no_gradient(head: dict[str, Any]) -> None:
    found = []
    for cutoff in (0.0, 1e-5):
        features = head["features"].clone().requires_grad_()
        out = render_rays(**{**head, "features": features}, min_transmittance=cutoff, implementation="cpu")
        found.append(torch.autograd.grad(out.features.sum(), features)[0])
    assert torch.equal(*found)


def test_points_match_the_reference(head: dict[str, Any]) -> None:
    """An odd number of points, some outside the box, not contiguous in memory."""
    points = (torch.rand(3, 1, 1001, generator=torch.Generator().manual_seed(2)) - 0.5).permute(1, 2, 0) * 1.2
    features = head["features"].transpose(2, 3).contiguous().transpose(2, 3)
    arguments = (head["plane_axes"], head["mlp"])
    raw_sigma, rgb = query_points(features, *arguments, points, head["box_warp"], "cpu")
    double = PlaneMLP(*(t.double() for t in head["mlp"]))
    expected = query_points(
        features.double(), head["plane_axes"], double, points.double(), head["box_warp"], "reference"
    )
    assert relative_error(raw_sigma.double(), expected[0]) < 1e-5
    assert relative_error(rgb.double(), expected[1]) < 2e-5  # the plain op in float32: 1.1e-5
