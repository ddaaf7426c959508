"""Values that go into and come out of the ops."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class PlaneMLP(NamedTuple):
    """The decoder: rgb and density from a plane feature, `softplus(x w0^T + b0) w1^T + b1`.

    Effective weights: the scaling of equalised learning rates is already in them. Output 0 is the raw density, the rest
    become colours.
    """

    w0: Float[Tensor, "hidden c"]
    b0: Float[Tensor, " hidden"]
    w1: Float[Tensor, "out hidden"]
    b1: Float[Tensor, " out"]


class RayOutputs(NamedTuple):
    """What rendering a ray gives."""

    features: Float[Tensor, "n m c"]
    """Composited colour, scaled from [0,1] to [-1,1]."""
    depth: Float[Tensor, "n m"]
    """Mean depth along the ray, world units; +inf where the ray meets nothing. Not clamped."""
    opacity: Float[Tensor, "n m"]
    """Sum of the compositing weights, [0,1]."""
    depth_min: Float[Tensor, "n m"]
    """Smallest sampled depth of the ray; no gradient."""
    depth_max: Float[Tensor, "n m"]
    """Largest sampled depth of the ray; no gradient."""
