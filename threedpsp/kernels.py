"""The only importer of `eg3d_kernels`: a sibling inside the ComfyUI pack, else installed by pip."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eg3d_kernels import (
        BLUR_TAPS,
        Implementation,
        KernelUnavailableError,
        PlaneMLP,
        RayOutputs,
        available_implementations,
        bias_act,
        image_format,
        modulated_conv2d,
        query_points,
        render_rays,
        sample_planes,
        unavailable_reason,
        upfirdn2d,
    )
else:
    _inside_pack = "." in __package__
    _kernels = importlib.import_module("..eg3d_kernels" if _inside_pack else "eg3d_kernels", __package__)
    BLUR_TAPS = _kernels.BLUR_TAPS
    Implementation = _kernels.Implementation
    KernelUnavailableError = _kernels.KernelUnavailableError
    PlaneMLP = _kernels.PlaneMLP
    RayOutputs = _kernels.RayOutputs
    available_implementations = _kernels.available_implementations
    bias_act = _kernels.bias_act
    image_format = _kernels.image_format
    modulated_conv2d = _kernels.modulated_conv2d
    query_points = _kernels.query_points
    render_rays = _kernels.render_rays
    sample_planes = _kernels.sample_planes
    unavailable_reason = _kernels.unavailable_reason
    upfirdn2d = _kernels.upfirdn2d

__all__ = [
    "BLUR_TAPS",
    "Implementation",
    "KernelUnavailableError",
    "PlaneMLP",
    "RayOutputs",
    "available_implementations",
    "bias_act",
    "image_format",
    "modulated_conv2d",
    "query_points",
    "render_rays",
    "sample_planes",
    "unavailable_reason",
    "upfirdn2d",
]
