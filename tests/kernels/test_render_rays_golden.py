"""Rendering against values recorded from the published renderer."""

import json

import pytest
import torch

from eg3d_kernels import PlaneMLP, render_rays
from tests.golden import load_golden, relative_error

# "small", kept in tests/data, is a part of "auto_misses".
CASES = ["small", "default", "disparity", "auto", "auto_misses", "white_back", "coarse_only"]
# Ten times the errors of an independent float32 implementation: 1e-6 forward, 6e-6 for gradients.
FORWARD, GRADIENT = 1e-5, 6e-5


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
@pytest.mark.parametrize("case", CASES)
def test_matches_published_renderer(case: str, implementation: str) -> None:
    golden, metadata = load_golden(f"renderer_{case}")
    options = json.loads(metadata["options"])
    n, m = golden["ray_origins"].shape[:2]
    planes = golden["planes"].requires_grad_()
    out = render_rays(
        planes.permute(0, 1, 3, 4, 2),
        "xy_xz_zx",
        PlaneMLP(golden["w0"], golden["b0"], golden["w1"], golden["b1"]),
        golden["ray_origins"],
        golden["ray_directions"],
        ray_start=options["ray_start"],
        ray_end=options["ray_end"],
        box_warp=float(options["box_warp"]),
        depth_resolution=options["depth_resolution"],
        depth_resolution_importance=options["depth_resolution_importance"],
        disparity_space_sampling=options["disparity_space_sampling"],
        white_back=options.get("white_back", False),
        jitter=golden["jitter"][..., 0],
        u=golden["u"].view(n, m, -1) if "u" in golden else None,
        implementation=implementation,
    )
    depth = out.depth.clamp(out.depth_min.min(), out.depth_max.max())
    (out.features * torch.linspace(-1, 1, 32)).sum().add(depth.sum()).backward()
    kept = golden["features"].shape[-1]
    assert relative_error(out.features[..., :kept], golden["features"]) < FORWARD
    assert relative_error(depth, golden["depth"][..., 0]) < FORWARD
    # Absolute: opacity, at most 1, is made by 1 - exp(..), which rounds to multiples of 6e-8 however small it is.
    assert (out.opacity - golden["weights_sum"][..., 0]).abs().max() < FORWARD
    assert planes.grad is not None
    if "grad_planes" in golden:
        assert relative_error(planes.grad, golden["grad_planes"]) < GRADIENT
    else:
        assert relative_error(planes.grad[:, :, 0], golden["grad_planes_channel_0"]) < GRADIENT
