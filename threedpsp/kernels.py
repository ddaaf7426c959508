"""The only importer of `eg3d_kernels`: a sibling inside the ComfyUI pack, else installed by pip."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING or "." not in __package__:
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
    from ..eg3d_kernels import (
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
