"""The choices of refining."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError

UPDATES = 40
SECONDS = 60.0
HANDFUL = 5
"""Updates that make a likeness: fewer leave a rough one."""


@dataclass(frozen=True)
class RefineConfig:
    """Budget, freedom and loss weights of refining one photo. A weight of 0 switches a term off."""

    seconds: float | None = None
    """A ceiling in wall-clock time, networks' loading included; a handful of updates (5) is made in any case, unless
    it is 0. Default: none where `steps` is given, else 60."""
    steps: int | None = None
    """Updates; default: 40. Without `seconds` the clock then has no say."""
    seed: int = 0
    """Which novel views are looked at, in which order."""

    decay: float = 16.0
    """Steps start large and shrink: after k updates, rates are divided by 1 + k / decay."""
    plane_lr: float = 0.25
    """Learning rate of the planes at first, in standard deviations of their features."""
    plane_blur: int = 2
    """How often what is added to the planes is averaged over 3 x 3 cells: neighbours move along, also those that the
    photo does not show. Without it skin gets stripes."""
    ws_lr: float = 0.15
    """Learning rate of ws, in standard deviations of mapped w."""
    tune_lr: float = 0.01
    """Learning rate of the generator's weights."""
    tune_after: int = HANDFUL
    """Updates before these begin to move (over five more, from nothing to their rate): first the planes alone find the
    person, faster and without harm to other views."""
    camera_lr: float = 0.1
    """Learning rate of the camera, degrees."""
    camera_degrees: float = 3.0
    """The camera may turn about the head by this much around each axis; 0 = it stays."""
    camera_shift: float = 0.02
    """The camera may move sideways and up by this much, world units (.005 is a pixel of 128)."""
    tune_generator: bool = True
    """Also tune the generator's own weights for this photo (kept as a difference, with the result)."""
    tune_planes: bool = True
    """Also tune the planes themselves (kept as `plane_offset`): the person, and sharp detail, in few updates."""

    l2_weight: float = 30.0
    """Squared error to the photo, images in [-1,1]."""
    perceptual_weight: float = 1.0
    """ST-LPIPS (AlexNet) to the photo."""
    identity_weight: float = 0.2
    """Squared identity distance to the photo."""
    distance_weight: float = 0.02
    """Squared distance to the encoder's ws, in variances of mapped w."""
    mirror_weight: float = 0.2
    """The same three terms for the view from the mirrored camera; its squared error is divided by 1 + mirror_sigma."""
    novel_weight: float = 0.7
    """Squared identity distance to the photo at views that no photo shows."""
    novel_yaw_degrees: float = 30.0
    """How far those views turn to each side."""
    geometry_weight: float = 10.0
    """Keeps depth (world units) and opacity at those views as they were."""
    guard_resolution: int = 64
    """Side in rays of the mirrored and novel views; they are looked at before super-resolution."""

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 0:
            raise InputError(f"steps must not be negative; got {self.steps}.")
        if self.seconds is not None and not 0 <= self.seconds < float("inf"):
            raise InputError(f"seconds must be finite and not negative; got {self.seconds}.")
        if self.decay <= 0:
            raise InputError(f"decay must be greater than 0; got {self.decay}.")
        for name in ("plane_blur", "tune_after", "camera_degrees", "camera_shift", "novel_yaw_degrees"):
            if vars(self)[name] < 0:
                raise InputError(f"{name} must not be negative; got {vars(self)[name]}.")

    @property
    def updates(self) -> int:
        """How many there are at most."""
        return UPDATES if self.steps is None else self.steps

    @property
    def ceiling(self) -> float | None:
        """Seconds, or None where the clock has no say."""
        return SECONDS if self.steps is None and self.seconds is None else self.seconds
