"""The ops in C++, registered with torch: float32 on the CPU, first derivatives only."""

from .sample_planes import sample_planes

__all__ = ["sample_planes"]
