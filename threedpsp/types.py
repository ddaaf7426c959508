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

    image: [N,3,R,R], values from -1 to 1. camera: as many cameras.
    mirror_sigma: [N,R,R] or None, the uncertainty of the flip, on the **flipped** photo; larger is less sure.
    source_to_crop: [N,2,3], the affine map from pixels of the source to pixels of the crop.
    landmarks: [N,478,2] or None, in pixels of the crop; x to the right, y down, 0 at the edge of the first pixel.
    notes: what the loader and the detector had to say, in plain words.
    """

    image: Tensor
    camera: Camera
    mirror_sigma: Tensor | None = None
    source_to_crop: Tensor | None = None
    landmarks: Tensor | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.image.shape[0]

    def __getitem__(self, index: int) -> FaceCrop:
        """One of the photos, as a batch of one; the notes stay with all."""
        one = slice(index, index + 1 or None)
        sigma, affine, points = (
            None if part is None else part[one] for part in (self.mirror_sigma, self.source_to_crop, self.landmarks)
        )
        return FaceCrop(self.image[one], self.camera[one], sigma, affine, points, self.notes)

    @staticmethod
    def cat(crops: list[FaceCrop]) -> FaceCrop:
        """Crops of one size, one after another; what not all of them have is left out."""
        return FaceCrop(
            image=torch.cat([c.image for c in crops]),
            camera=Camera.cat([c.camera for c in crops]),
            mirror_sigma=_cat([c.mirror_sigma for c in crops]),
            source_to_crop=_cat([c.source_to_crop for c in crops]),
            landmarks=_cat([c.landmarks for c in crops]),
            notes=tuple(note for c in crops for note in c.notes),
        )


@dataclass(frozen=True)
class WPlus:
    """ws: [N,L,w_dim], one style per synthesis layer; generator: fingerprint of the generator it belongs to."""

    ws: Tensor
    generator: str


@dataclass(frozen=True)
class TriPlanes:
    """Tri-plane features, made once per latent; they do not depend on the camera.

    features: [N,3,H,W,C], channels last.
    box_warp: the side of the cube that the planes span, in units of the world.
    plane_axes: which two coordinates index each plane; with released weights this is "xy_xz_zx".
    background: [N,C,B,B] or None, colour features from 0 to 1 behind the head, which stay where they are on the screen.
    """

    features: Tensor
    box_warp: float
    plane_axes: str
    background: Tensor | None = None

    def __len__(self) -> int:
        return self.features.shape[0]

    def __getitem__(self, part: slice) -> TriPlanes:
        """Some of them."""
        background = None if self.background is None else self.background[part]
        return TriPlanes(self.features[part], self.box_warp, self.plane_axes, background)

    def expand(self, n: int) -> TriPlanes:
        """One latent's planes seen by n cameras (no copy)."""
        if len(self) == n:
            return self
        background = None if self.background is None else self.background.expand(n, -1, -1, -1)
        return TriPlanes(self.features.expand(n, -1, -1, -1, -1), self.box_warp, self.plane_axes, background)


@dataclass(frozen=True)
class Render:
    """What the generator shows from N cameras.

    image: [N,3,R,R], nominally from -1 to 1, but not clamped.
    image_raw: [N,3,r,r], the same before super-resolution.
    image_depth: [N,1,r,r], the distance along the ray, in units of the world.
    opacity: [N,1,r,r], the sum of the weights along the ray, from 0 to 1.
    """

    image: Tensor
    image_raw: Tensor
    image_depth: Tensor
    opacity: Tensor

    def __getitem__(self, index: int) -> Render:
        """One of the views, as a batch of one."""
        one = slice(index, index + 1 or None)
        return Render(self.image[one], self.image_raw[one], self.image_depth[one], self.opacity[one])

    @staticmethod
    def cat(renders: list[Render]) -> Render:
        """Views of one size, one after another."""
        return Render(
            image=torch.cat([r.image for r in renders]),
            image_raw=torch.cat([r.image_raw for r in renders]),
            image_depth=torch.cat([r.image_depth for r in renders]),
            opacity=torch.cat([r.opacity for r in renders]),
        )

    def to(self, device: torch.device | str) -> Render:
        """The same on another device."""
        return Render(*(t.to(device) for t in (self.image, self.image_raw, self.image_depth, self.opacity)))


@dataclass(frozen=True)
class Inversion:
    """A photo turned into a head that can be rendered later.

    steps: the latents [N,L,w_dim] and the image [N,3,256,256] after each step of the encoder.
    generator_delta: the tuned weights of the generator minus the original ones, by their names, or None.
    plane_offset: [N,3,H,W,C] or None, what is added to the planes, as refining and some encoders do.
    info: facts that can be written as JSON: seconds, losses, notes.
    """

    latent: WPlus
    camera: Camera
    render: Render | None = None
    steps: tuple[tuple[Tensor, Tensor], ...] = ()
    plane_offset: Tensor | None = None
    generator_delta: dict[str, Tensor] | None = None
    info: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.latent.ws.shape[0]

    def split(self) -> list[Inversion]:
        """Each photo's head by itself; weights tuned for all of them stay with each."""
        return [self._one(i) for i in range(len(self))]

    def _one(self, i: int) -> Inversion:
        one = slice(i, i + 1)
        return Inversion(
            latent=WPlus(self.latent.ws[one], self.latent.generator),
            camera=self.camera.expand(len(self))[i],
            render=None if self.render is None else self.render[i],
            steps=tuple((ws[one], image[one]) for ws, image in self.steps),
            plane_offset=None if self.plane_offset is None else self.plane_offset[one],
            generator_delta=self.generator_delta,
            info=self.info,
        )

    @staticmethod
    def cat(heads: list[Inversion]) -> Inversion:
        """Heads of one generator, one after another, what `split` takes apart; tuned weights and info are the first's.

        Steps and renders that not all of them have are left out; where only some have a plane offset, the others' is 0.
        """
        first = heads[0]
        renders = [head.render for head in heads if head.render is not None]
        known = next((head.plane_offset for head in heads if head.plane_offset is not None), None)
        alike = len({len(head.steps) for head in heads}) == 1
        return Inversion(
            latent=WPlus(torch.cat([head.latent.ws for head in heads]), first.latent.generator),
            camera=Camera.cat([head.camera.expand(len(head)) for head in heads]),
            render=Render.cat(renders) if len(renders) == len(heads) else None,
            steps=tuple(
                (torch.cat([ws for ws, _ in step]), torch.cat([image for _, image in step]))
                for step in (zip(*(head.steps for head in heads), strict=True) if alike else ())
            ),
            plane_offset=None
            if known is None
            else torch.cat(
                [
                    known.new_zeros(len(head), *known.shape[1:])
                    if head.plane_offset is None
                    else head.plane_offset.to(known)
                    for head in heads
                ]
            ),
            generator_delta=first.generator_delta,
            info=first.info,
        )

    def to(self, device: torch.device | str) -> Inversion:
        """The same on another device."""
        delta = self.generator_delta
        return Inversion(
            latent=WPlus(self.latent.ws.to(device), self.latent.generator),
            camera=self.camera.to(device),
            render=None if self.render is None else self.render.to(device),
            steps=tuple((ws.to(device), image.to(device)) for ws, image in self.steps),
            plane_offset=to_device(self.plane_offset, device),
            generator_delta=None if delta is None else {name: value.to(device) for name, value in delta.items()},
            info=self.info,
        )


@dataclass(frozen=True)
class Mesh:
    """A surface.

    vertices: [V,3], in units of the world. faces: [F,3] int64, the numbers of their corners.
    colors: [V,3] from 0 to 1, or None.
    """

    vertices: Tensor
    faces: Tensor
    colors: Tensor | None = None


def to_device(value: Any, device: torch.device | str) -> Any:
    """A tensor, camera or None on another device."""
    return value if value is None else value.to(device)


def _cat(parts: list[Tensor | None]) -> Tensor | None:
    """All of them joined, or None where one is missing."""
    present = [part for part in parts if part is not None]
    return torch.cat(present) if len(present) == len(parts) else None
