"""The ops in C++, registered with torch: for float32 on the CPU, with first derivatives only (upfirdn2d has all)."""

from .bias_act import bias_act
from .modulated_conv2d import modulated_conv2d
from .query_points import query_points
from .render_rays import render_rays
from .sample_planes import sample_planes
from .upfirdn2d import upfirdn2d

__all__ = ["bias_act", "modulated_conv2d", "query_points", "render_rays", "sample_planes", "upfirdn2d"]
