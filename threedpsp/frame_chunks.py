"""How many frames are rendered together: more keep a graphics card busy, but each takes memory while it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from .eg3d.config import GeneratorConfig

MOST_AT_ONCE = 16
SHARE_OF_FREE = 0.5
"""The rest is left to whatever else runs there, and to what the estimate forgets."""

Result = TypeVar("Result")


def frame_bytes(config: GeneratorConfig) -> int:
    """About what rendering a frame takes at its peak, in float32: an upper estimate, for the plain ops."""
    rays = config.neural_rendering_resolution**2
    samples = config.rendering.depth_resolution + config.rendering.depth_resolution_importance
    sampled = rays * samples * (4 * config.plane_channels + 3 * config.decoder_hidden)
    widest = max(channels * side * side for side, channels in _maps(config))
    return 4 * max(sampled, 6 * widest)


def _maps(config: GeneratorConfig) -> Iterator[tuple[int, int]]:
    """Side and channels of the super-resolution's maps."""
    side = config.sr_resolution
    for up, channels in zip(config.sr_up, config.sr_channels, strict=True):
        side *= 2 if up else 1
        yield side, channels


def free_bytes(device: torch.device) -> int | None:
    """Memory that a CUDA device has left, torch's own reserve included; None for other devices."""
    if device.type != "cuda":
        return None
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def frames_together(frames: int, free: int | None, per_frame: int) -> int:
    """1 where free memory is not known (on a CPU more frames at once are no faster), else as many as fit."""
    if free is None:
        return 1
    return max(1, min(frames, MOST_AT_ONCE, int(free * SHARE_OF_FREE) // per_frame))


def in_chunks(count: int, chunk: int, make: Callable[[slice], Result]) -> Iterator[Result]:
    """make(slice) for slices that cover `count` things; after an out-of-memory error from then on in halves."""
    start = 0
    while start < count:
        try:
            made = make(slice(start, min(start + chunk, count)))
        except torch.OutOfMemoryError:
            if chunk == 1:
                raise
            chunk = (chunk + 1) // 2
            torch.cuda.empty_cache()
            continue
        yield made
        start += chunk
