"""The choices of training the descent on planes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DescentTraining:
    """How the descent on planes learns, generator and encoder frozen."""

    steps: int = 3000
    """Optimizer steps; learning rates fall to zero at the end."""
    batch: int = 2
    """Portraits of a step, over all workers; a multiple of their number."""
    learning_rate: float = 1e-3
    samples: int = 12
    """Coarse samples a ray, and as many fine ones."""
    early_weight: float = 0.4
    """Of the losses after a step that is not the last."""
    l2_weight: float = 3.0
    """Beside the absolute error, which counts 1."""
    perceptual_weight: float = 1.5
    """Of the perceptual distance (AlexNet) between whole pictures at 128 pixels."""
    features_weight: float = 1.0
    """The same for eyes and mouth, enlarged."""
    identity_weight: float = 0.1
    """Squared identity distance at the photo's view, in every third step."""
    mirror_weight: float = 0.3
    """The person in the mirrored photo, seen by the mirrored camera."""
    novel_weight: float = 0.15
    """Squared identity distance at a view up to 25 degrees away, in every third step."""
    geometry_weight: float = 5.0
    """Keeps depth and opacity at that view."""
    guard_side: int = 64
    """Rays a side of the mirrored and the other views."""
