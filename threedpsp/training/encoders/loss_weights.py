"""How much each term counts, for every method as published; `TrainConfig` may say otherwise."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from .config import TrainConfig, TrainedMethod

PixelTerm = Literal["l2", "smooth_l1"]


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of one render."""

    pixel: float = 1.0
    """Of the error of pixels."""
    perceptual: float = 0.0
    """Of LPIPS (or ST-LPIPS)."""
    identity: float = 0.0
    """Of the identity distance."""
    mirror: float = 0.0
    """Factor on the same three terms of the mirror view; 0: it is not rendered."""
    pixel_term: PixelTerm = "l2"
    """What the error of pixels is."""
    delta: float = 0.0
    """e4e: of how far rows are from the first."""
    discriminator: float = 0.0
    """e4e: of looking like the generator's own w."""
    side: int = 256
    """Pixels a side at which pictures are compared."""


_LIKE_PSP = LossWeights(1.0, 0.8, 0.1)
PUBLISHED: dict[TrainedMethod, LossWeights] = {
    "3dpsp": LossWeights(1.0, 0.5, 0.4, mirror=1.0, side=512),
    "psp": _LIKE_PSP,
    "e4e": dataclasses.replace(_LIKE_PSP, delta=2e-4, discriminator=0.1),
    "triplanenet-v1": _LIKE_PSP,
    "triplanenet-v2": _LIKE_PSP,
}
"""Of the render of an encoder's ws."""
BRANCH: dict[str, LossWeights] = {
    "triplanenet-v1": LossWeights(1.0, 0.1, 0.1, pixel_term="smooth_l1"),
    "triplanenet-v2": LossWeights(1.0, 0.1, 0.1, mirror=0.1, pixel_term="smooth_l1"),
}
"""Of the render of TriPlaneNet's changed planes."""


def loss_weights(config: TrainConfig, image_side: int) -> LossWeights:
    """The weights of the encoder's render.

    Args:
        config: its settings come before the published ones.
        image_side: of the generator; pictures are never compared at more.
    """
    published = PUBLISHED[config.method]
    given = {
        "pixel": config.l2_weight,
        "perceptual": config.perceptual_weight,
        "identity": config.identity_weight,
        "mirror": config.mirror_weight,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(published, **chosen, side=comparison_side(config, image_side))  # type: ignore[arg-type]


def branch_weights(config: TrainConfig, image_side: int) -> LossWeights | None:
    """The weights of the branch's render; None: the method has no branch."""
    published = BRANCH.get(config.method)
    return published and dataclasses.replace(published, side=comparison_side(config, image_side))


def comparison_side(config: TrainConfig, image_side: int) -> int:
    """Pixels a side at which pictures are compared."""
    return min(config.loss_side or PUBLISHED[config.method].side, image_side)


def needs_mirror(config: TrainConfig, image_side: int) -> bool:
    """Whether any term looks at the mirror view."""
    branch = branch_weights(config, image_side)
    return loss_weights(config, image_side).mirror > 0 or (branch is not None and branch.mirror > 0)
