"""Pictures against the photos they were made from: pixels, looks, identity."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..encoder.inversion import resize_photo
from ..encoder.refine_terms import shared_perceptual
from ..errors import InputError
from ..metrics.identity import SAME_PERSON, identity_distance
from ..metrics.pixel import psnr, ssim
from ..threads import as_many_threads_as_pay
from ..types import FaceCrop

FIGURES = ("psnr", "ssim", "lpips", "identity")


@dataclass(frozen=True)
class Comparison:
    """What the comparison gives.

    photos: the figures by the names that are listed above, one of each for every photo.
    side_by_side: every photo with the picture beside it, [N,3,R,2R], values from -1 to 1.
    """

    photos: Sequence[dict[str, float]]
    side_by_side: Tensor

    @property
    def means(self) -> dict[str, float]:
        """The figures' means over the photos."""
        return {name: statistics.fmean(photo[name] for photo in self.photos) for name in FIGURES}

    def to_markdown(self) -> str:
        """A table, one row a photo, the means last."""
        lines = ["| photo | PSNR dB | SSIM | ST-LPIPS | identity |", "|---|---|---|---|---|"]
        rows = [(str(index), photo) for index, photo in enumerate(self.photos, 1)]
        if len(rows) > 1:
            rows.append(("mean", self.means))
        for name, row in rows:
            same = "same person" if row["identity"] < SAME_PERSON else "another person"
            lines.append(
                f"| {name} | {row['psnr']:.2f} | {row['ssim']:.3f} | {row['lpips']:.3f} "
                f"| {row['identity']:.3f} ({same}) |"
            )
        return "\n".join(lines)


@as_many_threads_as_pay()
@torch.no_grad()
def compare(crop: FaceCrop, image: Float[Tensor, "n 3 h w"]) -> Comparison:
    """How close pictures are to photos, each seen from its photo's own camera.

    Photos are brought to the pictures' side (area). PSNR and SSIM over the whole crop; ST-LPIPS (AlexNet), lower is
    closer; identity: dlib's face distance at the photo's landmarks, below .6 counts as the same person.

    Args:
        crop: the aligned photos, with landmarks.
        image: as many pictures in [-1,1].

    Raises:
        InputError: their numbers differ, or the photos have no landmarks.
        MissingDependencyError: a package with the measuring networks is missing.
    """
    if len(crop) != len(image):
        raise InputError(f"Each photo needs its own picture; got {len(crop)} photos and {len(image)} pictures.")
    if image.shape[-1] != image.shape[-2]:
        raise InputError(f"The pictures must be square, as rendered; got {image.shape[-1]} x {image.shape[-2]}.")
    if crop.landmarks is None:
        raise InputError("Comparing identities needs the faces' landmarks; align the photos first.")
    side = image.shape[-1]
    image = image.clamp(-1, 1)
    photo = resize_photo(crop.image.to(image), side)
    points = crop.landmarks.to(image) * (side / crop.image.shape[-1])
    figures = {
        "psnr": psnr(image, photo),
        "ssim": ssim(image, photo),
        "lpips": shared_perceptual(str(image.device))(image, photo),
        "identity": identity_distance(photo, image, points),
    }
    rows = [{name: values[i].item() for name, values in figures.items()} for i in range(len(image))]
    return Comparison(rows, torch.cat([photo, image], dim=3))
