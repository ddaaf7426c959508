"""Endless faces that the generator renders itself: any number stands for the same face, seen by an exact camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...device import derived_seed, random_generator
from ...eg3d.generator import Generator
from ...encoder.inversion import resize_photo
from .photos import Batch

MOST_YAW, MOST_PITCH = 60.0, 30.0  # degrees


@dataclass(frozen=True)
class RenderedFaces:
    """Faces by number.

    side: pixels of the pictures. purpose: keeps training and validation apart. truncation, yaw_std, pitch_std: see
    `TrainConfig`. mirror: the mirror view is needed; exact: as the mirrored camera sees it, else the flipped picture.
    """

    generator: Generator
    side: int
    seed: int
    purpose: str = "training"
    truncation: float = 0.9
    yaw_std: float = 15.0
    pitch_std: float = 6.0
    mirror: bool = True
    exact: bool = True

    @torch.no_grad()
    def batch(self, numbers: Sequence[int]) -> Batch:
        """These faces, on the generator's device."""
        config, device = self.generator.config, self.generator.device
        draws = [self._draw(number) for number in numbers]
        z = torch.stack([d[0] for d in draws]).to(device)
        angles = torch.stack([d[1] for d in draws])
        camera = config.camera_sphere.at(angles[:, 0], angles[:, 1]).to(device)
        ws = self.generator.mapping(z, self.generator.frontal_camera, truncation_psi=self.truncation)
        planes = self.generator.planes(ws)
        image = self._picture(self.generator.render(planes, ws, camera).image)
        mirror = image.flip(3)
        if self.mirror and self.exact:
            mirror = self._picture(self.generator.render(planes, ws, camera.mirrored()).image)
        names = tuple(f"rendered face {number}" for number in numbers)
        return Batch(image, camera, mirror, torch.ones_like(image[:, :1]), names)

    def _picture(self, image: Tensor) -> Tensor:
        """As a photo of it would be: 8 bits in [-1,1]."""
        return resize_photo(((image.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1, self.side)

    def _draw(self, number: int) -> tuple[Tensor, Tensor]:
        """z, and yaw and pitch in degrees."""
        random = random_generator(derived_seed(self.seed, self.purpose, number))
        z = torch.randn(self.generator.config.z_dim, generator=random)
        normal = torch.randn(2, generator=random)
        yaw = (normal[0] * self.yaw_std).clamp(-MOST_YAW, MOST_YAW)
        pitch = (normal[1] * self.pitch_std).clamp(-MOST_PITCH, MOST_PITCH)
        return z, torch.stack([yaw, pitch])
