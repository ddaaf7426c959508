"""The op `upfirdn2d`: contract, validation, choice of implementation."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from . import cpu, reference
from ._backend import Implementation, choose


def upfirdn2d(
    x: Float[Tensor, "n c h w"],
    taps: Sequence[float],
    *,
    up: int = 1,
    down: int = 1,
    padding: tuple[int, int] = (0, 0),
    implementation: Implementation = "auto",
) -> Float[Tensor, "n c h2 w2"]:
    """Upsample, filter and downsample: each channel by itself, the same in both directions.

    Puts up - 1 zeros after each pixel and `padding` around all, convolves with outer(taps, taps), keeps every down-th
    pixel from the first. A side s becomes (s * up + padding - len(taps)) // down + 1. Differentiable in x.

    Args:
        x: any strides; channels_last is fastest, and "cpu" returns that. The result has its type.
        taps: the filter along one direction.
        up: factor.
        down: factor.
        padding: zeros before and after the pixels of each direction; negative crops.
        implementation: "auto" picks the fastest that accepts the inputs; a named one that cannot run raises.

    Raises:
        ValueError: shapes or settings that do not fit, or a result without pixels.
        KernelUnavailableError: the named implementation cannot run here or on these inputs.
    """
    if x.ndim != 4:
        raise ValueError(f"x must be [n, c, h, w]; got {list(x.shape)}.")
    if up < 1 or down < 1 or not taps:
        raise ValueError(f"up and down must be at least 1 and taps not empty; got {up}, {down}, {taps}.")
    height, width = (resampled_side(side, len(taps), up, down, padding) for side in x.shape[2:])
    if min(height, width) < 1:
        raise ValueError(f"No pixel is left of {list(x.shape)}: {len(taps)} taps, up {up}, padding {padding}.")
    if choose("upfirdn2d", implementation, (), [x]) == "cpu":
        return cpu.upfirdn2d(x, taps, up, down, padding[0], (height, width))
    return reference.upfirdn2d(x, taps, up, down, padding)


def resampled_side(side: int, taps: int, up: int, down: int, padding: tuple[int, int]) -> int:
    """Pixels that `upfirdn2d` makes of `side`."""
    return (side * up + sum(padding) - taps) // down + 1
