"""Photos that look otherwise each time, for `--augment`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from ...device import derived_seed, random_generator
from ..augment.photometric import changed
from .photos import Batch, CheckedPhotos, Fault

Key = tuple[int, int | None]
"""The number of a photo, and a seed that says how it looks; None: as it is."""

WIDER, LONGER = 0.025, 0.02  # standard deviations of a face's width and length


@dataclass(frozen=True)
class AugmentedPhotos(Dataset["Batch | Fault"]):
    """Photos by `Key`. Prepared photos have no landmarks, so faces change in width and length only, about the middle.

    That leaves the cameras right: they are those of the same head, which is a little wider or longer.
    """

    photos: CheckedPhotos

    def __getitem__(self, key: Key) -> Batch | Fault:
        """One photo as a batch of one."""
        number, seed = key
        batch = self.photos[number]
        return batch if isinstance(batch, Fault) or seed is None else augmented(batch, seed)


def augmented(batch: Batch, seed: int) -> Batch:
    """A batch of one photo, changed as the seed says."""
    draw = torch.randn(2, generator=random_generator(derived_seed(seed, "shape", 0))).clamp(-2, 2)
    factors = 1 + draw * torch.tensor([WIDER, LONGER])
    image, _ = changed(_stretched(batch.image, factors), [seed])
    return Batch(image, batch.camera, image.flip(3), _stretched(batch.mirror_certainty, factors), batch.names)


def _stretched(maps: Tensor, factors: Tensor) -> Tensor:
    """Maps [1,C,s,s] stretched about the middle; factors [2] of width and height."""
    theta = torch.diag(1 / factors)[None]
    grid = F.affine_grid(torch.cat([theta, torch.zeros(1, 2, 1)], 2), list(maps.shape), align_corners=False)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
