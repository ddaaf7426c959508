"""The volume renderer alone: given planes, decoder, rays and random numbers; the gradient of the planes too."""

from __future__ import annotations

import torch

from eg3d_kernels import Implementation, PlaneMLP, render_rays
from threedpsp.camera import Camera
from threedpsp.eg3d.rays import camera_rays

from .case import Case, CaseError
from .measure import Measured, compare

TOLERANCES = {
    "ray_origins": 1e-6,
    "ray_directions": 1e-6,
    # ten times what an independent implementation in float32 reached (1e-6; gradients, sums over many rays, 6e-6); the
    # worst seen here are 1.4e-6 and 9e-6
    "features": 1e-5,
    "depth": 1e-5,
    "weights_sum": 1e-5,
    "grad_planes": 5e-5,
}
INPUTS = ("planes", "w0", "b0", "w1", "b1", "camera", "jitter", "u", "ray_origins", "ray_directions")


def run(case: Case, implementation: Implementation) -> list[Measured]:
    """Features, depth, opacity, the gradient; and the rays, where the camera is recorded."""
    options = case.json("options")
    if options.get("clamp_mode", "softplus") != "softplus":
        raise CaseError(f"clamp_mode {options['clamp_mode']!r} is not in any published generator")
    origins, directions = case.tensor("ray_origins"), case.tensor("ray_directions")
    n, m = origins.shape[:2]
    planes = case.tensor("planes").clone().requires_grad_()
    u = case.tensors.get("u")
    out = render_rays(
        planes.permute(0, 1, 3, 4, 2),
        options.get("plane_axes", "xy_xz_zx"),
        PlaneMLP(*(case.tensor(name) for name in ("w0", "b0", "w1", "b1"))),
        origins,
        directions,
        ray_start=options["ray_start"],
        ray_end=options["ray_end"],
        box_warp=float(options["box_warp"]),
        depth_resolution=options["depth_resolution"],
        depth_resolution_importance=options["depth_resolution_importance"],
        disparity_space_sampling=options["disparity_space_sampling"],
        white_back=options.get("white_back", False),
        jitter=case.tensor("jitter").reshape(n, m, -1),
        u=None if u is None else u.reshape(n, m, -1),
        implementation=implementation,
    )
    depth = out.depth.clamp(out.depth_min.min(), out.depth_max.max())
    (out.features * torch.linspace(-1, 1, out.features.shape[-1])).sum().add(depth.sum()).backward()
    if planes.grad is None:
        raise CaseError("the planes got no gradient")
    outputs = {
        "features": out.features[..., : case.tensor("features").shape[-1]],  # some cases keep the first ones only
        "depth": depth[..., None],
        "weights_sum": out.opacity[..., None],
        "grad_planes": planes.grad,
    }
    if "camera" in case.tensors:
        rays = camera_rays(Camera.from_label(case.tensor("camera")), case.integer("resolution", round(m**0.5)))
        outputs = {"ray_origins": rays.origins, "ray_directions": rays.directions, **outputs}
    # Absolute: opacity, at most 1, is made by 1 - exp(..), which rounds to multiples of 6e-8 however small it is.
    return compare(case, {k: v.detach() for k, v in outputs.items()}, TOLERANCES, absolute=["weights_sum"])
