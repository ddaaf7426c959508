"""Things before a face: drawn glasses, and round things like a microphone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

from ...camera import Camera
from ..losses import projected
from .people import LEFT_EYE, RIGHT_EYE, Person
from .skin import is_grey, skin_colour

FINER = 4  # things are drawn this much larger, and made small, so that their edges are smooth
FRAMES = ((0.06, 0.05, 0.05), (0.15, 0.09, 0.06), (0.35, 0.33, 0.32), (0.45, 0.36, 0.2), (0.1, 0.12, 0.2))
TEMPLES = (127, 356)  # points of the mesh beside the eyes, where the face ends


def with_glasses(person: Person, random: np.random.Generator) -> Person:
    """The person with glasses that sit on the mesh and so have the right perspective."""
    mesh = person.mesh
    left, right = (mesh[list(points)].mean(0) for points in (LEFT_EYE, RIGHT_EYE))
    gap = float(np.linalg.norm(left - right))
    wide, high, power = random.uniform(0.36, 0.43), random.uniform(0.24, 0.33), random.uniform(2, 4)
    width = max(random.uniform(0.02, 0.06) * gap * 4.26 / 2.6 * person.picture.shape[0], 1.2)
    colour = np.array(FRAMES[random.integers(len(FRAMES))])
    if is_grey(skin_colour(person.picture, person.points)):
        colour = np.repeat(colour.mean(), 3)
    forward = np.array([0.0, -0.06 * gap, 0.3 * gap])
    turn = np.linspace(0, 2 * np.pi, 49)
    circle = np.stack([_power(np.cos(turn), 2 / power), _power(np.sin(turn), 2 / power)], 1)
    lines = []
    for eye, temple, outward in ((left, TEMPLES[0], -1.0), (right, TEMPLES[1], 1.0)):
        curve = -0.35 * (circle[:, 0] * outward).clip(0) ** 2 * wide * gap  # bent round the face
        lens = eye + forward + np.c_[circle[:, 0] * wide * gap, circle[:, 1] * high * gap, curve * 0.4]
        hinge = eye + forward + np.array([outward * wide * gap, 0.3 * high * gap, -0.14 * wide * gap])
        lines += [lens, np.stack([hinge, mesh[temple] + np.array([0, 0.02, 0.0])])]
    arch = np.linspace(-1, 1, 9)
    inner = abs(right[0] - left[0]) / 2 - wide * gap
    middle = (left + right) / 2 + forward + np.array([0, 0.05 * gap, 0.02 * gap])
    lines.append(middle + np.stack([arch * inner, 0.05 * gap * (1 - arch**2), np.zeros(9)], 1))

    def draw(canvas: ImageDraw.ImageDraw, side: int) -> None:
        for line in lines:
            path = _places(line, person.camera) * side
            canvas.line([tuple(p) for p in path], fill=255, width=round(width * FINER), joint="curve")

    frame = _drawn(draw, person.picture.shape[0], 0.4)[..., None]
    shine = np.linspace(1.25, 0.85, person.picture.shape[0])[:, None, None]
    picture = person.picture * (1 - 0.94 * frame) + 0.94 * frame * colour * shine
    return replace(person, picture=picture.clip(0, 1).astype(np.float32))


def with_occluder(person: Person, random: np.random.Generator) -> Person:
    """The person with something round on a handle before cheek, chin or neck, like a microphone; the mask too."""
    side, mask_side = person.picture.shape[0], person.mask.shape[0]
    face = person.points[:468]
    centre, size = face.mean(0), float(np.ptp(face[:, 1]))
    way = random.uniform(0.15, 0.85) * np.pi  # downwards, from the right to the left
    along = np.array([np.cos(way), np.sin(way)])
    tip = centre + along * size * random.uniform(0.45, 0.65)
    radius, handle = size * random.uniform(0.08, 0.13), random.uniform(0.5, 1.0)
    colour = np.full(3, random.uniform(0.04, 0.2)) + random.uniform(0, 0.25) * random.random(3) ** 3

    def draw(canvas: ImageDraw.ImageDraw, large: int) -> None:
        r, (x, y), end = radius * large, tip * large, (tip + along) * large
        canvas.line([(x, y), tuple(end)], fill=255, width=round(handle * r))
        canvas.ellipse([x - r, y - r, x + r, y + r], fill=255)

    alpha = _drawn(draw, side, 0.8)
    inner = gaussian_filter(alpha, radius * side / 3)  # brighter in the middle, as round things are
    thing = (0.5 + 0.6 * inner)[..., None] * colour
    picture = person.picture * (1 - alpha[..., None]) + alpha[..., None] * thing
    mask = np.maximum(person.mask, _drawn(draw, mask_side, 0.4))
    return replace(person, picture=picture.clip(0, 1).astype(np.float32), mask=mask)


def _power(x: np.ndarray, exponent: float) -> np.ndarray:
    return np.sign(x) * np.abs(x) ** exponent


def _places(points: np.ndarray, camera: Camera) -> np.ndarray:
    """World points [V,3] -> [V,2] in units of the side."""
    return projected(torch.from_numpy(points.astype(np.float32))[None], camera, 1)[0].numpy()


def _drawn(draw: Callable[[ImageDraw.ImageDraw, int], None], side: int, blur: float) -> np.ndarray:
    """float32 [side,side] in 0..1 of what a function draws in white on a larger canvas."""
    image = Image.new("L", (side * FINER, side * FINER))
    draw(ImageDraw.Draw(image), side * FINER)
    image = image.resize((side, side), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(blur))
    return np.asarray(image).astype(np.float32) / 255
