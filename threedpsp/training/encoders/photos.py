"""What a training reads: photos with cameras, checked one by one, as batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from ...camera import LABEL_DIM, Camera
from ...encoder.inversion import resize_photo
from ...errors import InputError, ThreeDPSPError

Item = tuple[Tensor, Tensor, Tensor | None, str]


@runtime_checkable
class PhotoSet(Protocol):
    """Prepared photos by number (`preprocessing.dataset.FaceDataset` is one)."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, index: int) -> Item:
        """image [3,R,R] in [-1,1], label [25], uncertainty of the flip [R,R] (on the flipped photo) or None, name."""


@dataclass(frozen=True)
class Batch:
    """Faces to learn from, all at the side of comparison.

    image: [N,3,s,s] in [-1,1]. camera: N cameras. mirror_image: [N,3,s,s], what the mirrored camera should see.
    mirror_certainty: [N,1,s,s] in (0,1], 1 / (1 + mirror_sigma). names: for messages.
    """

    image: Tensor
    camera: Camera
    mirror_image: Tensor
    mirror_certainty: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.image)

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        image, mirror, certainty = (t.to(device) for t in (self.image, self.mirror_image, self.mirror_certainty))
        return Batch(image, self.camera.to(device), mirror, certainty, self.names)

    @staticmethod
    def cat(batches: Sequence[Batch]) -> Batch:
        """Several, one after another."""
        if len(batches) == 1:
            return batches[0]
        return Batch(
            torch.cat([b.image for b in batches]),
            Camera.cat([b.camera for b in batches]),
            torch.cat([b.mirror_image for b in batches]),
            torch.cat([b.mirror_certainty for b in batches]),
            tuple(name for b in batches for name in b.names),
        )


@dataclass(frozen=True)
class Fault:
    """Why a photo cannot be used; passed on as a value, because workers wrap what they raise in a stack trace."""

    message: str


@dataclass(frozen=True)
class CheckedPhotos(Dataset["Batch | Fault"]):
    """A set whose photos are brought to one side and checked; what is wrong with one comes back as a `Fault`.

    side: pixels at which pictures are compared. needs_sigma: the uncertainty of the flip is needed.
    missing_is_certain: where it is missing, count it as 0 instead.
    """

    photos: PhotoSet
    side: int
    needs_sigma: bool
    missing_is_certain: bool = False

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> Batch | Fault:
        """One photo as a batch of one."""
        try:
            return self._one(*self.photos[index])
        except ThreeDPSPError as error:
            return Fault(str(error))
        except (OSError, ValueError, EOFError, SyntaxError) as error:  # what damaged pictures make Pillow raise
            return Fault(f"Photo {index} of the training set cannot be read ({error}). Repair it or take it out.")

    def _one(self, image: Tensor, label: Tensor, sigma: Tensor | None, name: str) -> Batch:
        if image.ndim != 3 or image.shape[0] != 3 or image.shape[1] != image.shape[2]:
            raise InputError(f"{name} is {list(image.shape)}; a crop is [3,R,R]. Prepare the photos anew.")
        if image.shape[2] < self.side:
            raise InputError(
                f"{name} has {image.shape[2]} pixels a side, but pictures are compared at {self.side}. Prepare the "
                f"photos at {self.side} or more, or compare at fewer (--loss-side {image.shape[2]})."
            )
        if tuple(label.shape) != (LABEL_DIM,) or not label.isfinite().all():
            raise InputError(f"The camera of {name} is not {LABEL_DIM} finite numbers. Prepare this photo anew.")
        if not image.isfinite().all():
            raise InputError(f"{name} holds pixels that are not finite numbers. Prepare this photo anew.")
        photo = resize_photo(image[None].float(), self.side)
        camera = Camera.from_label(label[None].float())
        return Batch(photo, camera, photo.flip(3), self._certainty(sigma, name), (name,))

    def _certainty(self, sigma: Tensor | None, name: str) -> Float[Tensor, "1 1 s s"]:
        if sigma is None and self.needs_sigma and not self.missing_is_certain:
            raise InputError(
                f"{name} has no uncertainty of its flip (conf_map/), which the mirror terms need. Make the maps with "
                "'threedpsp prepare', or count the flip as certain (--missing-sigma certain), or leave the mirror view "
                "out (--mirror-weight 0)."
            )
        if sigma is None or not self.needs_sigma:
            return torch.ones(1, 1, self.side, self.side)
        if sigma.ndim != 2 or sigma.shape[0] != sigma.shape[1] or not sigma.isfinite().all() or sigma.min() < 0:
            raise InputError(f"The uncertainty of the flip of {name} is no [R,R] of numbers from 0 on. Make it anew.")
        return 1 / (1 + resize_photo(sigma[None, None].float(), self.side))
