"""Which two coordinates index each plane."""

from __future__ import annotations


def parse_plane_axes(plane_axes: str) -> list[tuple[int, int]]:
    """The numbers of the coordinates along the width and along the height of each plane.

    They are 0 for x, 1 for y and 2 for z; so "xy_xz_zx" gives the pairs (0, 1), (0, 2) and (2, 0).

    Raises:
        ValueError: not three different-letter pairs of x, y, z joined by underscores.
    """
    pairs = plane_axes.split("_")
    if len(pairs) != 3 or any(len(p) != 2 or p[0] == p[1] or set(p) - set("xyz") for p in pairs):
        raise ValueError(
            f"plane_axes must be three pairs of different letters out of x, y, z, like 'xy_xz_zx'; got '{plane_axes}'."
        )
    return [("xyz".index(pair[0]), "xyz".index(pair[1])) for pair in pairs]
