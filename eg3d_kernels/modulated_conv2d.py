"""The op `modulated_conv2d`: contract, validation, choice of implementation."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from . import cpu, reference
from ._backend import Implementation, choose


def modulated_conv2d(
    x: Float[Tensor, "n i h w"],
    weight: Float[Tensor, "o i k k"],
    styles: Float[Tensor, "n i"],
    *,
    demodulate: bool = True,
    up: bool = False,
    implementation: Implementation = "auto",
) -> Float[Tensor, "n o h2 w2"]:
    """StyleGAN2's convolution: each sample has the weights weight * style, brought to length 1 if demodulated.

    Zero padding keeps the side; `up` doubles it: a transposed convolution with stride 2, then the filter [1, 3, 3, 1].
    Differentiable in x, weight and styles, by "cpu" once only.

    Args:
        x: any strides; channels_last is fastest, and "cpu" returns that. With float32 weights it may be bfloat16 or
            float16: the convolution runs in that type and the result has it; scaling and filtering are in float32.
        weight: k odd; 3 if `up`.
        styles: factor of each sample's input channels.
        demodulate: divide each output channel by the length of its modulated weights.
        up: double the side.
        implementation: "auto" picks the fastest that accepts the inputs; a named one that cannot run raises.

    Raises:
        ValueError: shapes that do not fit.
        KernelUnavailableError: the named implementation cannot run here or on these inputs.
    """
    if x.ndim != 4:
        raise ValueError(f"x must be [n, i, h, w]; got {list(x.shape)}.")
    n, channels = x.shape[:2]
    if weight.ndim != 4 or weight.shape[1] != channels or weight.shape[2] != weight.shape[3]:
        raise ValueError(f"weight must be [o, {channels}, k, k]; got {list(weight.shape)}.")
    if weight.shape[2] % 2 == 0 or (up and weight.shape[2] != 3):
        raise ValueError(f"weight must have an odd side, 3 with up; got {list(weight.shape)}.")
    if tuple(styles.shape) != (n, channels):
        raise ValueError(f"styles must be [{n}, {channels}]; got {list(styles.shape)}.")
    chosen = choose("modulated_conv2d", implementation, (weight, styles), [x])
    return (cpu if chosen == "cpu" else reference).modulated_conv2d(x, weight, styles, demodulate, up)
