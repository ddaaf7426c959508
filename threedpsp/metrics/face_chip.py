"""Cuts upright face chips for an identity network, differentiably in the image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError

CHIP_SIDE = 150
PADDING = 0.25  # around dlib's template, on each side, as a share of it

# MediaPipe's points nearest dlib's five: outer and inner corner of the left eye, of the right eye, base of the nose
FIVE_POINTS = (263, 362, 33, 133, 2)
# dlib's template of them, in [0,1] before padding; right = the person's left
TEMPLATE = (
    (0.8595674595992, 0.2134981538014),
    (0.6460604764104, 0.2289674387677),
    (0.1205750620789, 0.2137274526848),
    (0.3340850613712, 0.2290642403242),
    (0.4901123135679, 0.6277975316475),
)
MOST_SAMPLES = 8  # per chip pixel and axis


def chip_template(size: int = CHIP_SIDE) -> Float[Tensor, "5 2"]:
    """Where dlib puts the five points in a chip of `size` pixels, 0 = the first pixel's edge."""
    return (torch.tensor(TEMPLATE) + PADDING) / (1 + 2 * PADDING) * size


def fit_similarity(
    source: Float[Tensor, "n p 2"], target: Float[Tensor, "n p 2"]
) -> tuple[Float[Tensor, "n 2 2"], Float[Tensor, "n 2"]]:
    """Rotation, scale and shift (no reflection) taking `source` to `target` with least squares: target = A source + t.

    The source points of an item must not all coincide.
    """
    source_mean, target_mean = source.mean(1, keepdim=True), target.mean(1, keepdim=True)
    p, q = source - source_mean, target - target_mean
    power = p.square().sum((1, 2))
    cosine = (p * q).sum((1, 2)) / power
    sine = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(1) / power
    matrix = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    shift = target_mean[:, 0] - (matrix @ source_mean.mT)[..., 0]
    return matrix, shift


def identity_chip(
    images: Float[Tensor, "n 3 h w"], landmarks: Float[Tensor, "n p 2"], size: int = CHIP_SIDE
) -> Float[Tensor, "n 3 s s"]:
    """Chips of faces [N,3,size,size] from 0 to 255 (values beyond it stay beyond), eyes level, as dlib aligns them.

    Each chip pixel is the mean of enough bilinear samples to cover it, so that chips of a photo and of its reduced
    copy agree. Beyond the image its border is repeated. Differentiable in the images.

    Args:
        images: in [-1,1].
        landmarks: [N,478,2] (or 468), MediaPipe's, in pixels of `images`, 0 = the first pixel's edge.
        size: side of the chips.

    Raises:
        InputError: shapes do not fit, or the five points of a face coincide.
    """
    if images.ndim != 4 or images.shape[1] != 3 or landmarks.ndim != 3 or landmarks.shape[0] != images.shape[0]:
        raise InputError(
            f"Chips of faces need images of shape [N,3,H,W] and landmarks of shape [N,478,2]; "
            f"got {list(images.shape)}, {list(landmarks.shape)}."
        )
    if landmarks.shape[1] <= max(FIVE_POINTS) or landmarks.shape[2] != 2:
        raise InputError(f"Chips need MediaPipe's 468 or 478 points in 2-D; got {list(landmarks.shape)}.")
    points = landmarks[:, list(FIVE_POINTS)].to(images)
    template = chip_template(size).to(images).expand_as(points)
    matrix, shift = fit_similarity(template, points)
    scale = torch.linalg.vector_norm(matrix[:, 0], dim=1).detach()  # image pixels per chip pixel
    if not bool(((scale > 1e-3) & scale.isfinite()).all()):
        raise InputError("The eye and nose points of a face coincide or are not numbers: no chip can be cut.")
    samples = scale.ceil().clamp(1, MOST_SAMPLES).int().tolist()
    chips = [_warp(images[i : i + 1], matrix[i], shift[i], size, count) for i, count in enumerate(samples)]
    return (torch.cat(chips) + 1) * 127.5 if chips else images.new_zeros(0, 3, size, size)


def _warp(image: Tensor, matrix: Tensor, shift: Tensor, size: int, samples: int) -> Tensor:
    """One image [1,3,H,W] -> [1,3,size,size], `samples` x `samples` bilinear samples per chip pixel."""
    height, width = image.shape[2:]
    steps = (torch.arange(size * samples, dtype=image.dtype, device=image.device) + 0.5) / samples
    chip_points = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
    points = chip_points @ matrix.T + shift
    grid = points * points.new_tensor([2 / width, 2 / height]) - 1
    fine = F.grid_sample(image, grid[None], mode="bilinear", padding_mode="border", align_corners=False)
    return F.avg_pool2d(fine, samples) if samples > 1 else fine
