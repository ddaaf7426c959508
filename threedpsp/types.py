"""The values that flow between the stages: frozen dataclasses, no behaviour beyond moving and indexing.

N is batch, L = num_ws, R = image side, H W C = plane size and channels, r = raw side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .camera import Camera


@dataclass(frozen=True)
class FaceCrop:
    """Aligned photos, ready for the encoder.

    image: [N,3,R,R] in [-1,1]. camera: N cameras.
    mirror_sigma: [N,R,R] or None, uncertainty of the flip, lying on the **flipped** photo; larger = less sure.
    source_to_crop: [N,2,3], affine map from source pixels to crop pixels.
    landmarks: [N,478,2] in crop pixels (x right, y down, 0 = the first pixel's edge), or None.
    notes: what the loader and the detector had to say, in plain words.
    """

    image: Tensor
    camera: Camera
    mirror_sigma: Tensor | None = None
    source_to_crop: Tensor | None = None
    landmarks: Tensor | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WPlus:
    """ws: [N,L,w_dim], one style per synthesis layer; generator: fingerprint of the generator it belongs to."""

    ws: Tensor
    generator: str


@dataclass(frozen=True)
class TriPlanes:
    """Tri-plane features, made once per latent; they do not depend on the camera.

    features: [N,3,H,W,C], channels last. box_warp: side of the cube the planes span, world units.
    plane_axes: which two coordinates index each plane ("xy_xz_zx" for released weights).
    background: [N,C,B,B] colour features in [0,1] behind the head, fixed to the screen, or None.
    """

    features: Tensor
    box_warp: float
    plane_axes: str
    background: Tensor | None = None

    def __len__(self) -> int:
        return self.features.shape[0]

    def expand(self, n: int) -> TriPlanes:
        """One latent's planes seen by n cameras (no copy)."""
        if len(self) == n:
            return self
        background = None if self.background is None else self.background.expand(n, -1, -1, -1)
        return TriPlanes(self.features.expand(n, -1, -1, -1, -1), self.box_warp, self.plane_axes, background)


@dataclass(frozen=True)
class Render:
    """What the generator shows from N cameras.

    image: [N,3,R,R] and image_raw: [N,3,r,r], nominally [-1,1], unclamped.
    image_depth: [N,1,r,r], distance along the ray in world units. opacity: [N,1,r,r], sum of the weights, 0..1.
    """

    image: Tensor
    image_raw: Tensor
    image_depth: Tensor
    opacity: Tensor


@dataclass(frozen=True)
class Inversion:
    """A photo turned into a head that can be rendered later.

    steps: (ws [N,L,w_dim], image [N,3,256,256]) after each encoder step.
    generator_delta: tuned generator weights minus the originals, by parameter name, or None.
    plane_offset: [N,3,H,W,C] added to the planes (refining, TriPlaneNet), or None.
    info: JSON-able facts (seconds, losses, notes).
    """

    latent: WPlus
    camera: Camera
    render: Render | None = None
    steps: tuple[tuple[Tensor, Tensor], ...] = ()
    plane_offset: Tensor | None = None
    generator_delta: dict[str, Tensor] | None = None
    info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mesh:
    """vertices: [V,3] world units; faces: [F,3] int64; colors: [V,3] in [0,1] or None."""

    vertices: Tensor
    faces: Tensor
    colors: Tensor | None = None


def to_device(value: Any, device: torch.device | str) -> Any:
    """A tensor, camera or None on another device."""
    return value if value is None else value.to(device)
