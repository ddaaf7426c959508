"""Numeric operations of EG3D: one contract each, in plain torch and compiled."""

from ._backend import Implementation, available_implementations, unavailable_reason
from .errors import KernelUnavailableError
from .query_points import query_points
from .render_rays import render_rays
from .sample_planes import sample_planes
from .types import PlaneMLP, RayOutputs

__all__ = [
    "Implementation",
    "KernelUnavailableError",
    "PlaneMLP",
    "RayOutputs",
    "available_implementations",
    "query_points",
    "render_rays",
    "sample_planes",
    "unavailable_reason",
]
