"""From five points to an EG3D crop: Deep3DFaceRecon's fit, then resize, cut, resize again.

Pixel coordinates: x right, y down. Points are in order left eye, right eye, nose tip, left and right mouth corner,
where left is the viewer's left.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from PIL import Image

from ..errors import InputError

Border = Literal["black", "mirror"]

TARGET, RESCALE, CENTRE = 1024, 300.0, 700  # EG3D: fit in 1024 pixels, keep the middle 700
EXACT_UP_TO = 6_000_000  # pixels of the scaled photo; Pillow keeps the box of a partial resize in float32 only
DEEP3D_TARGET, DEEP3D_RESCALE = 224, 102.0  # the input of Deep3DFaceRecon

TEMPLATE = np.array(
    [
        [-0.31148657, 0.29036078, 0.13377953],
        [0.30979887, 0.28972036, 0.13179526],
        [0.0032534988, -0.046179324, 0.55244243],
        [-0.25216928, -0.38133916, 0.22405732],
        [0.2484662, -0.38128236, 0.22235769],
    ]
)
"""Where the five points are on the mean face of Deep3DFaceRecon: x right, y up, z to the viewer; eyes .62 apart."""

_LEFT_EYE, _RIGHT_EYE = (33, 133, 159, 145), (263, 362, 386, 374)  # corners and lids, viewer's left and right
_NOSE_TIP, _MOUTH_CORNERS = 1, (61, 291)


def five_points(points: np.ndarray) -> np.ndarray:
    """MediaPipe's points [478,2 or 3] (or the 468 of its canonical face) -> the five of the crop [5,2 or 3]."""
    return np.stack(
        [
            points[list(_LEFT_EYE)].mean(0),
            points[list(_RIGHT_EYE)].mean(0),
            points[_NOSE_TIP],
            points[_MOUTH_CORNERS[0]],
            points[_MOUTH_CORNERS[1]],
        ]
    )


def fit_template(five: np.ndarray, height: int, rescale: float) -> tuple[float, np.ndarray]:
    """Least squares fit of the template to five points: a scale for the photo, and where the template's origin falls.

    Args:
        five: [5,2] in pixels, y down.
        height: of the photo, to turn y up.
        rescale: pixels that a template unit shall have after scaling.

    Returns:
        s, factor for the photo; t [2], in photo pixels, y up.
    """
    target = np.stack([five[:, 0], height - 1 - five[:, 1]], 1)
    equations = np.zeros((10, 8))
    equations[0::2, 0:3], equations[0::2, 3] = TEMPLATE, 1
    equations[1::2, 4:7], equations[1::2, 7] = TEMPLATE, 1
    solution = np.linalg.lstsq(equations, target.reshape(-1), rcond=None)[0]
    scale = (np.linalg.norm(solution[0:3]) + np.linalg.norm(solution[4:7])) / 2
    if not np.isfinite(scale) or scale < 1e-6:
        raise InputError("The five points of the face coincide; no crop can be made of them.")
    return float(rescale / scale), solution[[3, 7]]


def crop_face(
    image: np.ndarray,
    five: np.ndarray,
    size: int = 512,
    border: Border = "black",
    *,
    target: int = TARGET,
    rescale: float = RESCALE,
    centre: int | None = CENTRE,
) -> tuple[np.ndarray, np.ndarray]:
    """EG3D's crop: the photo scaled by the fit (bicubic), the middle `centre` of `target` pixels, resized (Lanczos).

    Only the part that is kept gets computed, so a small face in a large photo costs no more than another.

    Args:
        image: uint8 [H,W,3].
        five: [5,2], pixels of `image`.
        size: side of the result. With `centre=None` there is no second resize, and the result has side `target`
            (Deep3DFaceRecon's input: target 224, rescale 102).
        target: side of the frame that the template is fitted into.
        rescale: pixels per template unit in that frame.
        centre: side of the part of the frame that is kept, or None for all of it.
        border: outside the photo is black, or the photo mirrored at its edges.

    Returns:
        crop uint8 [size,size,3]; source_to_crop [2,3] float64 for coordinates with 0 at the first pixel's edge.

    Raises:
        InputError: the points coincide, or are not near the photo; or there is no such border.
    """
    if border not in get_args(Border):
        raise InputError(f"What lies outside the photo is 'mirror' or 'black'; got {border!r}.")
    height, width = image.shape[:2]
    scale, origin = fit_template(np.asarray(five, np.float64), height, rescale)
    scaled = max(int(width * scale), 1), max(int(height * scale), 1)
    kept = target if centre is None else centre
    inset = (target - kept) // 2
    left = int(scaled[0] / 2 - target / 2 + (origin[0] - width / 2) * scale) + inset
    top = int(scaled[1] / 2 - target / 2 + (height / 2 - origin[1]) * scale) + inset
    if left + kept <= 0 or top + kept <= 0 or left >= scaled[0] or top >= scaled[1]:
        raise InputError("The face lies outside the photo; no crop can be made.")
    ratio = scaled[0] / width, scaled[1] / height
    window = _mirrored_window if border == "mirror" else _black_window
    crop = window(image, scaled, ratio, left, top, kept)
    zoom = 1.0
    if centre is not None:
        zoom = size / kept
        crop = crop.resize((size, size), Image.Resampling.LANCZOS)
    source_to_crop = np.array([[ratio[0] * zoom, 0, -left * zoom], [0, ratio[1] * zoom, -top * zoom]])
    return np.asarray(crop), source_to_crop


def apply_affine(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """[2,3] affine map on points [...,2]."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def _black_window(
    image: np.ndarray, scaled: tuple[int, int], ratio: tuple[float, float], left: int, top: int, side: int
) -> Image.Image:
    """Pixels left..left+side, top..top+side of the scaled photo; black where there is none."""
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, scaled[0]), min(top + side, scaled[1])
    part = _resized_part(image, scaled, ratio, (x0, y0, x1, y1))
    canvas = Image.new("RGB", (side, side))
    canvas.paste(part, (x0 - left, y0 - top))
    return canvas


def _mirrored_window(
    image: np.ndarray, scaled: tuple[int, int], ratio: tuple[float, float], left: int, top: int, side: int
) -> Image.Image:
    """The same with the photo mirrored at its edges, as often as needed."""
    height, width = image.shape[:2]
    margin = 8  # source pixels, more than the resampling filter's support when enlarging
    xs = _source_range(left, side, ratio[0], margin)
    ys = _source_range(top, side, ratio[1], margin)
    grown = image[_reflect(ys, height)[:, None], _reflect(xs, width)[None, :]]
    x0, y0 = max(left / ratio[0] - xs[0], 0.0), max(top / ratio[1] - ys[0], 0.0)
    x1, y1 = min(x0 + side / ratio[0], float(len(xs))), min(y0 + side / ratio[1], float(len(ys)))
    return Image.fromarray(grown).resize((side, side), Image.Resampling.BICUBIC, box=(x0, y0, x1, y1))


def _resized_part(
    image: np.ndarray, scaled: tuple[int, int], ratio: tuple[float, float], part: tuple[int, int, int, int]
) -> Image.Image:
    """A part of the resized photo: exactly, or, where all of it would be large, within rounding."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = part
    if scaled[0] * scaled[1] <= EXACT_UP_TO and width * height <= 4 * EXACT_UP_TO:
        return Image.fromarray(image).resize(scaled, Image.Resampling.BICUBIC).crop(part)
    # cut the photo first: a margin of the filter's support (2 source pixels enlarging, 2 / ratio shrinking) stays
    margin = [int(np.ceil(2 / min(r, 1.0))) + 2 for r in ratio]
    cut_x0, cut_x1 = max(int(x0 / ratio[0]) - margin[0], 0), min(int(np.ceil(x1 / ratio[0])) + margin[0], width)
    cut_y0, cut_y1 = max(int(y0 / ratio[1]) - margin[1], 0), min(int(np.ceil(y1 / ratio[1])) + margin[1], height)
    source = Image.fromarray(np.ascontiguousarray(image[cut_y0:cut_y1, cut_x0:cut_x1]))
    box = (x0 / ratio[0] - cut_x0, y0 / ratio[1] - cut_y0, x1 / ratio[0] - cut_x0, y1 / ratio[1] - cut_y0)
    box = (box[0], box[1], min(box[2], source.width), min(box[3], source.height))
    return source.resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC, box=box)


def _source_range(start: int, side: int, ratio: float, margin: int) -> np.ndarray:
    margin = int(np.ceil(margin / min(ratio, 1.0)))
    return np.arange(int(np.floor(start / ratio)) - margin, int(np.ceil((start + side) / ratio)) + margin)


def _reflect(index: np.ndarray, length: int) -> np.ndarray:
    """Indices outside 0..length-1 folded back, the edge pixel repeated once."""
    index = np.mod(index, 2 * length)
    return np.where(index < length, index, 2 * length - 1 - index)
