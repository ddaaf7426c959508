"""How evaluation measures identity: dlib's network on chips at the landmarks, or ArcFace on the whole crop."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..export.images import to_uint8
from ..metrics.arcface import ArcFaceIdentity, id_loss
from ..metrics.identity import DlibIdentity, embedding_distance
from ..preprocessing.landmarks import detect_faces
from ..types import FaceCrop

LOST_FACE = 1.0
DETECTION_SIDE = 256


class IdentityMeasure(Protocol):
    """Compares pictures with a photo; everything at the generator's side, images [1,3,R,R] in [-1,1]."""

    name: str
    """Of the figure."""
    words: str
    """For the protocol."""
    novel_words: str
    """For the protocol: how other views are measured."""

    def of_photo(self, photo: Tensor, crop: FaceCrop) -> Tensor:
        """What pictures are compared with; raises InputError where the crop lacks what it needs."""

    def distance(self, image: Tensor, crop: FaceCrop, of_photo: Tensor) -> float:
        """Of a picture from the photo's own camera; 0 = the same."""

    def distance_at(self, image: Tensor, points: Tensor | None, of_photo: Tensor) -> float:
        """Of a picture from another camera, in which these landmarks [1,478,2] were found, or None."""


class DlibMeasure:
    """L2 between dlib's embeddings, at the photo's landmarks; at other views they are found anew."""

    name = "identity"
    words = "identity = dlib ResNet-29 L2 distance"
    novel_words = f"landmarks found in the render; no face found counts as {LOST_FACE}"

    def __init__(self, device: torch.device) -> None:
        self.network = DlibIdentity().to(device)

    def of_photo(self, photo: Tensor, crop: FaceCrop) -> Tensor:
        """The photo's embedding."""
        return self.network.embed(photo, self._landmarks(photo, crop))

    def distance(self, image: Tensor, crop: FaceCrop, of_photo: Tensor) -> float:
        """See `IdentityMeasure`."""
        return embedding_distance(self.network.embed(image, self._landmarks(image, crop)) - of_photo).item()

    def novel_distance(self, image: Tensor, of_photo: Tensor) -> float:
        """Of a picture from another camera, whose landmarks are found here."""
        return self.distance_at(image, render_landmarks(image), of_photo)

    def distance_at(self, image: Tensor, points: Tensor | None, of_photo: Tensor) -> float:
        """See `IdentityMeasure`."""
        if points is None:
            return LOST_FACE
        return embedding_distance(self.network.embed(image, points.to(image.device)) - of_photo).item()

    def _landmarks(self, image: Tensor, crop: FaceCrop) -> Tensor:
        if crop.landmarks is None:
            raise InputError(
                "Identity by dlib needs the crop's landmarks, and it has none. "
                f"{' '.join(crop.notes)} ArcFace needs none: --identity arcface."
            )
        return (crop.landmarks * (image.shape[-1] / crop.image.shape[-1])).to(image.device)


class ArcFaceMeasure:
    """1 - cosine between ArcFace's embeddings of the crop's middle, as 3DpSp trains and measures; no landmarks."""

    name = "identity_arcface"
    words = "identity_arcface = 1 - cosine of ArcFace IR-SE50"
    novel_words = "ArcFace looks at the same part of the picture"

    def __init__(self, network: ArcFaceIdentity, device: torch.device) -> None:
        self.network = network.to(device)

    def of_photo(self, photo: Tensor, crop: FaceCrop) -> Tensor:
        """The photo's embedding."""
        return self.network(photo)

    def distance(self, image: Tensor, crop: FaceCrop, of_photo: Tensor) -> float:
        """See `IdentityMeasure`."""
        return id_loss(self.network(image), of_photo).item()

    def distance_at(self, image: Tensor, points: Tensor | None, of_photo: Tensor) -> float:
        """See `IdentityMeasure`."""
        return id_loss(self.network(image), of_photo).item()


def render_landmarks(image: Tensor) -> Tensor | None:
    """MediaPipe's points [1,478,2] in pixels of a rendered image [1,3,R,R], or None if it finds no face."""
    side = image.shape[-1]
    big = torch.nn.functional.interpolate(image, size=DETECTION_SIDE, mode="bicubic", align_corners=False)
    faces = detect_faces(np.ascontiguousarray(to_uint8(big.clamp(-1, 1))[0]))
    if not faces:
        return None
    return torch.from_numpy(faces[0].points)[None] * (side / DETECTION_SIDE)
