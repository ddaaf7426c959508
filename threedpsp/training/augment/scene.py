"""Another backdrop behind a person, and light from another side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, zoom

from ..batches import without_person
from ..mesh_paint import paint
from .people import Person
from .skin import grey, is_grey, skin_colour, soft
from .warp import FIELD_SIDE, bent, fill

UNSURE = 0.06  # masks of which a larger share is neither person nor backdrop don't get another backdrop
AROUND = 0.3  # how much of a new light falls on the backdrop


def with_backdrop(person: Person, other: Person, blur: float) -> Person:
    """The person before the backdrop of another; unchanged where the mask is too unsure for it.

    blur: standard deviation in shares of the side, as from a lens.
    """
    side = person.picture.shape[0]
    if np.mean((person.mask > 0.1) & (person.mask < 0.9)) > UNSURE:
        return person
    still = np.zeros((FIELD_SIDE, FIELD_SIDE, 2), np.float32)
    image = torch.from_numpy(bent(other.picture, still, side)).permute(2, 0, 1)[None]
    mask = torch.from_numpy(upsampled(other.mask, side))[None, None]
    behind = soft(without_person(image, mask)[0].permute(1, 2, 0).numpy(), blur)
    if is_grey(skin_colour(person.picture, person.points)):
        behind = grey(behind)
    own_light = float(np.median(person.picture.mean(2)[upsampled(person.mask, side) > 0.9]))
    behind = behind * min(1.0, (0.1 + 1.6 * own_light) / float(behind.mean() + 1e-3))  # no dark head in the sun
    alpha = upsampled(person.mask, side)
    alpha = np.clip((alpha - 0.15) / 0.7, 0, 1)[..., None]
    certain = alpha[..., 0] > 0.97
    own = np.where(certain[..., None], person.picture, fill(person.picture, certain))  # no old backdrop in the hair
    return replace(person, picture=(own * alpha + behind * (1 - alpha)).clip(0, 1).astype(np.float32))


def lit(person: Person, side: float, height: float, strength: float, triangles: np.ndarray) -> Person:
    """The person with more light from one side and less from the other.

    side: -1 to 1, from the picture's left to its right. height: the same from below to above. strength: of the change.
    """
    normals = vertex_normals(person.mesh, triangles) @ person.camera.cam2world[0, :3, :3].numpy()
    light = np.array([side, -height, -0.4])
    light /= np.linalg.norm(light)
    shade = normals @ light
    shade -= shade.mean()
    distance = np.linalg.norm(person.mesh - person.camera.position[0].numpy(), axis=1)
    points = person.points[: len(person.mesh)]
    found, values = paint(points, distance, triangles, shade[:, None], FIELD_SIDE)
    known = found | (person.mask < 0.05)
    field = gaussian_filter(fill(values, known)[..., 0], 3.0, mode="nearest")
    size = person.picture.shape[0]
    x = (np.arange(size) + 0.5) / size - 0.5
    slope = 0.6 * (side * x[None] - height * x[:, None])
    alpha = upsampled(person.mask, size)
    amount = (upsampled(field, size) + 0.3 * slope) * alpha + AROUND * slope * (1 - alpha)
    gain = np.exp(strength * 1.6 * amount).clip(0.4, 1.7)[..., None]
    gain /= max(float(np.percentile(gain[alpha > 0.9], 95)) / 1.12, 1.0) if (alpha > 0.9).any() else 1.0
    return replace(person, picture=rolled_off(person.picture * gain).astype(np.float32))


def rolled_off(picture: np.ndarray) -> np.ndarray:
    """Values above .85 pressed together below 1, as film does, and none below 0."""
    return np.where(picture > 0.85, 0.85 + 0.15 * np.tanh((picture - 0.85) / 0.15), picture).clip(0, 1)


def vertex_normals(mesh: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Outward unit normals [V,3] of a mesh [V,3]."""
    a, b, c = (mesh[corner] for corner in triangles.T)
    area = np.cross(b - a, c - a)
    normals = np.zeros_like(mesh)
    for corner in triangles.T:
        np.add.at(normals, corner, area)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-9)


def upsampled(mask: np.ndarray, side: int) -> np.ndarray:
    """A map [m,m] at another side."""
    return mask if mask.shape[0] == side else zoom(mask, side / mask.shape[0], order=1, grid_mode=True, mode="nearest")
