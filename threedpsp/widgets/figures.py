"""Rows of pictures for a page, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError, MissingDependencyError
from ..export.images import to_uint8


def show_row(
    pictures: Float[Tensor, "n 3 h w"] | Sequence[Any],
    titles: Sequence[str] = (),
    *,
    height: float = 2.0,
    columns: int | None = None,
) -> None:
    """Draws pictures side by side, each under its title, without axes; a notebook shows them when the cell ends.

    Args:
        pictures: a batch in [-1,1] (clamped), or a list of such batches of one, of uint8 arrays [H,W,3], and of float
            arrays [H,W], drawn as grey.
        titles: as many, or none.
        height: of a picture on the page, inches.
        columns: pictures in a row; default: all.

    Raises:
        InputError: no pictures, or another number of titles.
        MissingDependencyError: matplotlib is missing.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingDependencyError(
            "Figures need matplotlib, which is missing. Run: pip install matplotlib"
        ) from error
    arrays = [_array(picture) for picture in pictures]
    if not arrays or (titles and len(titles) != len(arrays)):
        raise InputError(f"A row has pictures, and a title for each or none; got {len(arrays)} and {len(titles)}.")
    columns = min(columns or len(arrays), len(arrays))
    rows = -(-len(arrays) // columns)
    widest = max(array.shape[1] / array.shape[0] for array in arrays)
    line = 0.25 if titles else 0.05
    size = (columns * height * widest, rows * (height + line))
    _, axes = pyplot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for index, (axis, array) in enumerate(zip(axes.flat, arrays, strict=False)):
        axis.imshow(array, cmap=None if array.ndim == 3 else "gray")
        if titles:
            axis.set_title(titles[index], fontsize=9)


def _array(picture: Any) -> np.ndarray:
    """A picture as matplotlib takes it."""
    if isinstance(picture, Tensor):
        return to_uint8(picture if picture.ndim == 4 else picture[None])[0]
    return np.asarray(picture)
