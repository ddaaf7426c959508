"""The ops in C++, registered with torch: float32 on the CPU, first derivatives only."""

from .render_rays import render_rays
from .sample_planes import sample_planes

__all__ = ["render_rays", "sample_planes"]
