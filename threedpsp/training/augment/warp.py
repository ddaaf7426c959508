"""Pictures bent so that points on a face come to lie where others are."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

from ..mesh_paint import paint

FIELD_SIDE = 128
FRAME = 5  # pixels of the field along the picture's edges that stay where they are


def warp_field(
    source: np.ndarray, target: np.ndarray, distance: np.ndarray, triangles: np.ndarray, blur: float = 1.0
) -> np.ndarray:
    """Where each place of the new picture is found in the old one.

    On the face the mesh says it, linearly between its points; from the face to the frame the bend dies away.

    Args:
        source: [468,2] points in the old picture, in units of its side.
        target: [468,2] the same points in the new picture.
        distance: [468] of the points from the camera, which says what hides what.
        triangles: [T,3] of the mesh.
        blur: standard deviation in pixels of the field, against kinks.

    Returns:
        float32 [128,128,2]: what to add to a place of the new picture, in units of the side.
    """
    found, shift = paint(target, distance, triangles, source - target, FIELD_SIDE)
    known = found.copy()
    known[:FRAME] = known[-FRAME:] = known[:, :FRAME] = known[:, -FRAME:] = True
    filled = fill(shift, known)
    return gaussian_filter(np.where(found[..., None], shift, filled), (blur, blur, 0), mode="nearest")


def fill(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Smooth values [s,s,K] where none are known: means at coarser and coarser sizes, then finer ones from them."""
    weight = torch.from_numpy(known.astype(np.float32))[None, None]
    colours, weights = [torch.from_numpy(values).permute(2, 0, 1)[None] * weight], [weight]
    while colours[-1].shape[-1] > 1:
        colours.append(F.avg_pool2d(colours[-1], 2))
        weights.append(F.avg_pool2d(weights[-1], 2))
    out = colours[-1] / weights[-1].clamp_min(1e-6)
    for colour, share in zip(colours[-2::-1], weights[-2::-1], strict=True):
        out = F.interpolate(out, scale_factor=2, mode="bilinear", align_corners=False)
        out = torch.where(share > 0, out + (colour / share.clamp_min(1e-6) - out) * share, out)
    return out[0].permute(1, 2, 0).numpy()


def bent(picture: np.ndarray, field: np.ndarray, side: int, mode: str = "bicubic") -> np.ndarray:
    """A picture float32 [h,h,C] read through a field; [side,side,C]. Beyond its edges it is mirrored."""
    steps = (torch.arange(side) + 0.5) / side
    place = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
    moves = torch.from_numpy(field).permute(2, 0, 1)[None]
    moves = F.interpolate(moves, (side, side), mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
    grid = (place + moves)[None] * 2 - 1
    image = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
    out = F.grid_sample(image, grid, mode=mode, padding_mode="reflection", align_corners=False)
    return out[0].permute(1, 2, 0).numpy()
