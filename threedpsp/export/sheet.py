"""Contact sheets: many pictures with captions, on one page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from ..encoder.refine import updates_made
from ..encoder.refine_config import HANDFUL
from ..errors import InputError
from ..types import FaceCrop, Inversion, Render
from .images import depth_to_rgb, to_uint8

Cell = tuple[str, UInt8[ndarray, "_ _ 3"]]

_PAGE, _INK = (250, 250, 250), (40, 40, 44)
_GAP, _CAPTION = 8, 20


def contact_sheet(rows: Sequence[Sequence[Cell]], cell: int = 192) -> Image.Image:
    """Rows of (caption, picture); every picture is fitted into a square of `cell` pixels.

    Raises:
        InputError: there is no picture.
    """
    rows = [row for row in rows if row]
    if not rows:
        raise InputError("A contact sheet needs at least one picture.")
    columns = max(len(row) for row in rows)
    step_x, step_y = cell + _GAP, cell + _CAPTION + _GAP
    page = Image.new("RGB", (columns * step_x + _GAP, len(rows) * step_y + _GAP), _PAGE)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default()
    for y, row in enumerate(rows):
        for x, (caption, picture) in enumerate(row):
            left, top = _GAP + x * step_x, _GAP + y * step_y
            page.paste(_fitted(picture, cell), (left, top))
            draw.text((left + 2, top + cell + 4), caption, fill=_INK, font=font)
    return page


def inversion_sheet(
    crop: FaceCrop, inversion: Inversion, views: Sequence[tuple[str, Render]] = (), cell: int = 192
) -> Image.Image:
    """Photo, the encoder's steps and the result in the first row; other views with their depth below.

    crop, inversion: of one photo (the first one counts). views: (caption, render of one camera).
    """
    first: list[Cell] = [("photo", to_uint8(crop.image[:1])[0])]
    first += [(f"step {i}", to_uint8(image[:1])[0]) for i, (_, image) in enumerate(inversion.steps, 1)]
    renders = list(views)
    if inversion.render is not None:
        first.append((_result(inversion), to_uint8(inversion.render.image[:1])[0]))
        renders.insert(0, ("photo's camera", inversion.render))
    pictures: list[Cell] = [(caption, to_uint8(render.image[:1])[0]) for caption, render in renders]
    depths: list[Cell] = [
        (f"depth, {caption}", depth_to_rgb(render.image_depth[0], render.opacity[0])) for caption, render in renders
    ]
    width = max(len(first), len(renders), 1)
    return contact_sheet([first[i : i + width] for i in range(0, len(first), width)] + [pictures, depths], cell)


def _result(inversion: Inversion) -> str:
    """What the result's picture shows, with the number of updates."""
    if refined := inversion.info.get("refine"):
        words, made = "refined", refined["steps"]
    elif likeness := inversion.info.get("likeness"):
        words, made = "first likeness", likeness["updates"]
    else:
        return "result"
    return f"{words}, {'only ' if updates_made(inversion) < HANDFUL else ''}{made} updates"


def _fitted(picture: ndarray, cell: int) -> Image.Image:
    """The picture scaled so that its longer side is `cell`, in the middle of a square."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    scale = cell / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    square = Image.new("RGB", (cell, cell), _PAGE)
    square.paste(image.resize(size, Image.Resampling.LANCZOS), ((cell - size[0]) // 2, (cell - size[1]) // 2))
    return square
