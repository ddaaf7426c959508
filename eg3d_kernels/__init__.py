"""Numeric operations of EG3D: one contract each, in plain torch and compiled."""

from ._backend import Implementation, available_implementations, image_format, unavailable_reason
from .bias_act import bias_act
from .errors import KernelUnavailableError
from .modulated_conv2d import modulated_conv2d
from .query_points import query_points
from .render_rays import render_rays
from .resampling import BLUR_TAPS
from .sample_planes import sample_planes
from .types import PlaneMLP, RayOutputs
from .upfirdn2d import upfirdn2d

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
