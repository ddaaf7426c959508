"""Heads of ICT-FaceKit as shaded pictures from known cameras: truth for the pose estimator (development only)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .pose import place_in_world

# Where ICT-FaceKit's parts begin in its vertex list.
_SKIN_END, _MOUTH_END, _EYE_SOCKETS_END, _GUMS_END, _TEETH_END, _EYES_END = 11248, 13294, 14062, 17039, 21451, 24591
_EYEBALL_SPLIT = 23021  # before: viewer's right eyeball, from here: the left one

# Vertices of some of the usual 68 landmarks (viewer's left to right).
_BROWS = ((268, 493, 1914, 2044, 1401), (3615, 4240, 4114, 2734, 2509))
_LIPS = (5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841)
_EYE_CORNERS, _NOSE_TIP, _MOUTH_CORNERS = ((1507, 1528), (3742, 3721)), 1140, (5708, 6213)
_MOUTH_LINE = (5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966)


@dataclass(frozen=True)
class HeadModel:
    """A model of heads: the neutral one [V,3] and the modes [100,V,3], in the world of the cameras.

    With them are the triangles [T,3] and the class of the colour of every vertex [V].
    """

    neutral: np.ndarray
    modes: np.ndarray
    triangles: np.ndarray
    parts: np.ndarray


def load_head_model(path: Path) -> HeadModel:
    """From an archive of arrays: the neutral head [V,3], the modes [100,V,3], and the faces, quads [F,4]."""
    with np.load(path) as data:
        neutral = data["neutral"].astype(np.float64)
        modes = data["modes"].astype(np.float32)
        quads = data["faces"]
    quads = quads[(quads < _EYES_END).all(1)]
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    matrix, shift = _placement(neutral)
    return HeadModel(
        neutral @ matrix.T + shift,
        np.einsum("kvc,dc->kvd", modes, matrix.astype(np.float32)),
        triangles,
        _paint(neutral),
    )


def open_jaw(model: HeadModel, vertices: np.ndarray, degrees: float) -> np.ndarray:
    """The mouth opened by turning the lower jaw about an axis below the ears."""
    centre = model.neutral[list(_MOUTH_LINE)].mean(0)
    below = centre[1] - model.neutral[:, 1]
    front = model.neutral[:, 2]
    inside = model.parts == MOUTH
    weight = _smoothstep(below, 0.0, 0.012) * _smoothstep(front, -0.02, 0.10) * _smoothstep(-below, -0.30, -0.16)
    # the cheeks follow softly, the lips sharply
    sharp = np.abs(model.neutral[:, 0]) < 0.062
    soft = _smoothstep(below, -0.05, 0.08) * _smoothstep(front, -0.02, 0.10) * _smoothstep(-below, -0.30, -0.16)
    weight = np.where(sharp | inside, weight, soft)
    hinge = np.array([0.0, 0.01, 0.0])
    angle = np.deg2rad(degrees) * weight
    y, z = vertices[:, 1] - hinge[1], vertices[:, 2] - hinge[2]
    moved = vertices.copy()
    moved[:, 1] = hinge[1] + np.cos(angle) * y - np.sin(angle) * z
    moved[:, 2] = hinge[2] + np.sin(angle) * y + np.cos(angle) * z
    return moved


SKIN, LIP, BROW, EYE, IRIS, PUPIL, MOUTH, TOOTH, HAIR = range(9)


def render_head(
    vertices: np.ndarray,
    model: HeadModel,
    cam2world: np.ndarray,
    focal: float,
    size: int,
    random: np.random.Generator,
) -> np.ndarray:
    """uint8 [size,size,3]: Lambert shading by one random light, random skin, hair and background."""
    palette = _palette(random)
    colours = palette[model.parts]
    if random.random() < 0.3:  # bald
        colours = np.where((model.parts == HAIR)[:, None], palette[SKIN], colours)
    normals = _normals(vertices, model.triangles)
    light = random.normal(size=3) * [0.8, 0.5, 0.3] + [0, 0.4, 1.0]
    light /= np.linalg.norm(light)
    ambient = random.uniform(0.3, 0.6)
    shade = ambient + (1 - ambient) * np.clip(normals @ light, 0, None)
    lit = np.clip(colours * shade[:, None], 0, 1)
    world_to_camera = np.linalg.inv(cam2world)
    seen = vertices @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    pixels = (focal * seen[:, :2] / seen[:, 2:] + 0.5) * size
    image = np.broadcast_to(random.uniform(0.1, 0.9, 3) + random.uniform(-0.1, 0.1, 3), (size, size, 3)).copy()
    _rasterise(image, pixels, seen[:, 2], lit, model.triangles)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _rasterise(
    image: np.ndarray, pixels: np.ndarray, depth: np.ndarray, colours: np.ndarray, triangles: np.ndarray
) -> None:
    """Z-buffer of small triangles, all at once: every pixel centre of their boxes is tested."""
    size = image.shape[0]
    corner = pixels[triangles]  # [T,3,2]
    area = _cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    drawn = np.abs(area) > 1e-9  # both sides: the inner parts are not oriented alike
    triangles, corner, area = triangles[drawn], corner[drawn], area[drawn]
    low = np.ceil(corner.min(1) - 0.5).astype(int)
    high = np.floor(corner.max(1) - 0.5).astype(int)
    extent = high - low + 1
    found = []
    for dy in range(int(extent[:, 1].max(initial=0))):
        rows = np.flatnonzero(extent[:, 1] > dy)
        for dx in range(int(extent[rows, 0].max(initial=0))):
            some = rows[extent[rows, 0] > dx]
            at = low[some] + [dx, dy]
            point = at + 0.5
            a, b, c = corner[some, 0], corner[some, 1], corner[some, 2]
            u = _cross(c - b, point - b) / area[some]
            v = _cross(a - c, point - c) / area[some]
            w = 1 - u - v
            hit = (u >= 0) & (v >= 0) & (w >= 0) & (at >= 0).all(1) & (at < size).all(1)
            found.append((some[hit], at[hit], np.stack([u, v, w], 1)[hit]))
    if not found:
        return
    which = np.concatenate([f[0] for f in found])
    at = np.concatenate([f[1] for f in found])
    bary = np.concatenate([f[2] for f in found])
    z = (depth[triangles[which]] * bary).sum(1)
    order = np.argsort(-z, kind="stable")  # the nearest is written last
    image[at[order, 1], at[order, 0]] = np.einsum("nk,nkc->nc", bary, colours[triangles[which]])[order]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    total = np.zeros_like(vertices)
    for i in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(triangles[:, i], normal[:, axis], len(vertices))
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def _palette(random: np.random.Generator) -> np.ndarray:
    skins = np.array([[0.96, 0.80, 0.69], [0.85, 0.64, 0.5], [0.66, 0.45, 0.33], [0.45, 0.29, 0.21], [0.3, 0.19, 0.14]])
    i = random.integers(len(skins) - 1)
    mix = random.random()
    skin = skins[i] * mix + skins[i + 1] * (1 - mix)
    hair = random.uniform(0.05, 0.35) * np.array([1.0, 0.85, 0.7])
    palette = np.zeros((9, 3))
    palette[SKIN], palette[LIP], palette[BROW] = skin, skin * [0.92, 0.62, 0.62], 0.45 * skin + 0.45 * hair
    palette[EYE], palette[IRIS], palette[PUPIL] = 0.92, random.uniform(0.1, 0.45, 3), 0.03
    palette[MOUTH], palette[TOOTH], palette[HAIR] = [0.25, 0.08, 0.08], 0.85, hair
    return palette


def _placement(neutral: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    eyes = [neutral[list(pair)].mean(0) for pair in _EYE_CORNERS]
    mouth = [neutral[corner] for corner in _MOUTH_CORNERS]
    return place_in_world(np.stack([*eyes, neutral[_NOSE_TIP], *mouth]))


def _paint(neutral: np.ndarray) -> np.ndarray:
    """What each vertex is; lips and brows as polygons seen from the front, irises about the front of each eyeball."""
    index = np.arange(len(neutral))
    parts = np.full(len(neutral), SKIN)
    x, y, z = neutral.T
    parts[(y > 0.95 * z + 0.95) & ~((np.abs(x) > 7.9) & (y < 6)) & (index < _SKIN_END)] = HAIR
    front = (index < _SKIN_END) & (z > 6)
    parts[front & _inside(neutral[:, :2], neutral[list(_LIPS), :2])] = LIP
    for brow in _BROWS:
        line = neutral[list(brow), :2]
        outline = np.concatenate([line + [0, 0.25], line[::-1] - [0, 0.45]])
        parts[front & _inside(neutral[:, :2], outline)] = BROW
    parts[(index >= _SKIN_END) & (index < _MOUTH_END)] = MOUTH
    parts[(index >= _EYE_SOCKETS_END) & (index < _GUMS_END)] = MOUTH
    parts[(index >= _GUMS_END) & (index < _TEETH_END)] = TOOTH
    for begin, end in ((_TEETH_END, _EYEBALL_SPLIT), (_EYEBALL_SPLIT, _EYES_END)):
        ball = neutral[begin:end]
        pole = ball[ball[:, 2].argmax()]
        distance = np.linalg.norm(ball[:, :2] - pole[:2], axis=1)
        visible = ball[:, 2] > pole[2] - 1.0
        parts[begin:end] = np.where(visible & (distance < 0.25), PUPIL, np.where(visible & (distance < 0.6), IRIS, EYE))
    return parts


def _inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Which points [N,2] lie inside the polygon [K,2]: even-odd rule."""
    result = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (y0 > points[:, 1]) != (y1 > points[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            result ^= crosses & (points[:, 0] < (x1 - x0) * (points[:, 1] - y0) / (y1 - y0) + x0)
    return result


def _smoothstep(value: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
