"""Cameras from coefficients, mirrored, looking at a point; crops and their parameters."""

from __future__ import annotations

import re

import numpy as np
import torch

from eg3d_kernels import Implementation
from threedpsp.camera import PIVOT, RADIUS, focal_from_fov_degrees, intrinsics_from_focal, look_at_warped
from threedpsp.preprocessing import camera_from_deep3d
from threedpsp.preprocessing.align import (
    CENTRE,
    DEEP3D_RESCALE,
    DEEP3D_TARGET,
    RESCALE,
    TARGET,
    TEMPLATE,
    crop_face,
    fit_template,
)
from threedpsp.preprocessing.pose import PoseConvention

from .case import Case
from .measure import Measured, compare

CAMERA = 1e-6  # our cameras are float32: a position of 2.7 has 2e-7 of rounding
BYTES = 1.0  # levels of 255: equal with the Pillow it was recorded with; other versions round differently, by 1
FIT = 1e-6  # the recorded template is float32
CAMERA_INPUTS = ("angle", "trans", "lookat_hv")
CROP_INPUTS = ("image_u8", "landmarks5_xy")
CONVENTIONS: dict[str, PoseConvention] = {
    "pose_from_coefficients": "raw",
    "pose_orig": "orig",
    "pose_cor": "cor",
    "pose_simplify": "simplify",
}


def run_camera_math(case: Case, implementation: Implementation) -> list[Measured]:
    """Poses by every convention, their mirror images, look-at poses, intrinsics from fields of view."""
    outputs = {}
    if "angle" in case.tensors:
        for name, convention in CONVENTIONS.items():
            camera = camera_from_deep3d(case.tensor("angle"), case.tensor("trans"), convention)
            outputs[name] = camera.cam2world
            outputs[f"{name}_flip_yaw"] = camera.mirrored().cam2world
    if "lookat_hv" in case.tensors:
        horizontal, vertical = case.tensor("lookat_hv").unbind(1)
        pivot = case.within("lookat", r"pivot \(([^)]*)\)", ", ".join(map(str, PIVOT)))
        x, y, z = (float(v) for v in pivot.split(","))
        radius = float(case.within("lookat", r"radius ([\d.]+)", str(RADIUS)).rstrip("."))
        outputs["lookat_pose"] = look_at_warped(horizontal, vertical, radius=radius, pivot=(x, y, z))
    for name, expected in case.tensors.items():
        if found := re.fullmatch(r"fov_intrinsics_(\d+)(?:_(\d+))?", name):
            focal = focal_from_fov_degrees(float(f"{found[1]}.{found[2] or 0}"))
            outputs[name] = intrinsics_from_focal(focal).reshape(expected.shape)
    return compare(case, outputs, CAMERA)


def run_align_crop(case: Case, implementation: Implementation) -> list[Measured]:
    """Crops in bytes, and the fit's parameters."""
    image, points = case.tensor("image_u8").numpy(), case.tensor("landmarks5_xy").numpy()

    def stated(pattern: str, otherwise: float) -> float:
        return float(case.within("recipe", pattern, str(otherwise)))

    target = int(stated(r"align target (\d+)", TARGET))
    rescale = stated(r"align target \d+ rescale (\d+)", RESCALE)
    centre = int(stated(r"centre (\d+)", CENTRE))
    deep3d_target = int(stated(r"deep3d_input\d+: target (\d+)", DEEP3D_TARGET))
    deep3d_rescale = stated(r"deep3d_input\d+: target \d+ rescale (\d+)", DEEP3D_RESCALE)
    outputs, exact = {}, {"template5": torch.from_numpy(TEMPLATE).float()}
    for name, expected in case.tensors.items():
        if re.fullmatch(r"crop\d+_u8", name):
            size = expected.shape[1]
            crops = [crop_face(image, five, size, target=target, rescale=rescale, centre=centre)[0] for five in points]
        elif re.fullmatch(r"deep3d_input\d+_u8", name):
            crops = [
                crop_face(image, five, target=deep3d_target, rescale=deep3d_rescale, centre=None)[0] for five in points
            ]
        else:
            continue
        outputs[name] = torch.from_numpy(np.stack(crops))
    height, width = image.shape[:2]
    fits = [fit_template(five, height, rescale) for five in points]
    parameters = torch.tensor([[width, height, scale, *origin] for scale, origin in fits], dtype=torch.float64)
    exact |= {name: parameters for name in case.tensors if re.fullmatch(r"trans_params_\d+", name)}
    levels = compare(case, outputs, BYTES, absolute=outputs)
    return levels + compare(case, exact, FIT)
