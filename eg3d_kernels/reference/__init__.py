"""The ops in plain torch: written to be read, differentiable in everything, any floating dtype and device."""

from .query_points import query_points
from .render_rays import render_rays
from .sample_planes import sample_planes

__all__ = ["query_points", "render_rays", "sample_planes"]
