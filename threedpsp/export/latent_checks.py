"""What a latent file must hold, checked before its numbers are read: shapes, kinds of numbers, sizes."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError

MAX_FILE = 2 << 30  # bytes; a head with a whole tuned generator has less than 200 MB
MAX_HEADER = 16 << 20  # bytes of the names, shapes and facts before the numbers
MAX_ROWS, MAX_WIDTH, MAX_SIDE = 64, 4096, 4096  # of ws; of pictures and planes
RENDER_CHANNELS = {"image": 3, "image_raw": 3, "image_depth": 1, "opacity": 1}
_FLOATS = ("F16", "BF16", "F32", "F64")
_TOLERANCE = 1e-2  # of a rotation's products: cameras of data sets are rounded
Shape = tuple[int, ...]


def check_size(path: Path) -> None:
    """The file's size, and what it claims for its header.

    Raises:
        WeightsError: larger than any latent file.
    """
    size = path.stat().st_size
    if size > MAX_FILE:
        raise WeightsError(f"It has {size:,} bytes; no latent file has more than {MAX_FILE:,}.")
    with open(path, "rb") as file:
        claimed = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))[0]
    if MAX_HEADER < claimed <= size:
        raise WeightsError(f"It has a header of {claimed:,} bytes; no latent file has more than {MAX_HEADER:,}.")


def check_shapes(shapes: dict[str, Shape], kinds: dict[str, str]) -> None:
    """Names, shapes and kinds of numbers ("F32") of all tensors.

    Raises:
        WeightsError: something is missing, or does not belong to a head.
    """
    if whole := [name for name, kind in kinds.items() if kind not in _FLOATS]:
        raise WeightsError(f"{whole[0][:80]} must hold fractions; it holds numbers of the kind {kinds[whole[0]]}.")
    ws = _needed(shapes, "ws")
    if len(ws) != 3 or not (1 <= ws[0] and 1 <= ws[1] <= MAX_ROWS and 1 <= ws[2] <= MAX_WIDTH):
        raise WeightsError(f"ws must be [N,L,w_dim], at least one of each; got {list(ws)}.")
    count = ws[0]
    camera = _needed(shapes, "camera/cam2world")
    if camera not in ((1, 4, 4), (count, 4, 4)) or _needed(shapes, "camera/intrinsics") != (camera[0], 3, 3):
        raise WeightsError(
            f"camera/cam2world and camera/intrinsics must be [N,4,4] and [N,3,3] for the {count} heads; "
            f"got {list(camera)} and {list(shapes['camera/intrinsics'])}."
        )
    known = {"ws", "camera/cam2world", "camera/intrinsics", "plane_offset"}
    known |= _check_render(shapes, count) | _check_steps(shapes, ws)
    offset = shapes.get("plane_offset")
    if offset is not None and (len(offset) != 5 or offset[:2] != (count, 3) or not _sides(offset[2:])):
        raise WeightsError(f"plane_offset must be [{count},3,H,W,C]; got {list(offset)}.")
    if odd := [name for name in shapes if name not in known and not name.startswith("delta/")]:
        raise WeightsError(f"It is damaged: {odd[0][:80]} is no part of a latent file.")


def check_camera(cam2world: Tensor, intrinsics: Tensor) -> None:
    """Values of cameras [N,4,4] and [N,3,3].

    Raises:
        WeightsError: not a rotation and a place, or a lens that sees nothing.
    """
    rotation = cam2world[:, :3, :3]
    unit = (rotation @ rotation.transpose(1, 2) - torch.eye(3)).abs().max() < _TOLERANCE
    last = (cam2world[:, 3] - torch.tensor([0.0, 0.0, 0.0, 1.0])).abs().max() < _TOLERANCE
    if not (unit and last and (torch.linalg.det(rotation) > 0).all()):
        raise WeightsError("camera/cam2world is not a rotation and a place.")
    if not (intrinsics.diagonal(dim1=1, dim2=2) > 0).all():
        raise WeightsError("camera/intrinsics must have focal lengths greater than 0.")


def info_of(text: str) -> dict[str, Any]:
    """The facts of a head.

    Raises:
        WeightsError: not JSON, or not names with values.
    """
    try:
        info = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError("It is damaged: its info is not JSON, or has numbers or lists beyond all use.") from error
    if not isinstance(info, dict):
        raise WeightsError("It is damaged: its info is not a set of names and values.")
    return info


def _needed(shapes: dict[str, Shape], name: str) -> Shape:
    if name not in shapes:
        raise WeightsError(f"It is damaged: {name} is missing.")
    return shapes[name]


def _check_render(shapes: dict[str, Shape], count: int) -> set[str]:
    """All four pictures or none, of as many heads, the last three of one size; their names."""
    names = {f"render/{name}" for name in RENDER_CHANNELS}
    if not any(name in names for name in shapes):
        return set()
    for name, channels in RENDER_CHANNELS.items():
        shape = _needed(shapes, f"render/{name}")
        side = shape if name == "image" else _needed(shapes, "render/image_raw")
        if shape[:2] != (count, channels) or len(shape) != 4 or shape[2:] != side[2:] or not _sides(shape[2:]):
            raise WeightsError(f"render/{name} must be a picture [{count},{channels},H,W]; got {list(shape)}.")
    return names


def _check_steps(shapes: dict[str, Shape], ws: Shape) -> set[str]:
    """Steps 0, 1, 2 ..., each with a latent like the last one's and pictures; their names."""
    count = sum(name.startswith("steps/") and name.endswith("/ws") for name in shapes)
    names = set()
    for index in range(count):
        latent, image = (f"steps/{index}/{part}" for part in ("ws", "image"))
        if _needed(shapes, latent) != ws:
            raise WeightsError(f"{latent} must be {list(ws)}; got {list(shapes[latent])}.")
        shape = _needed(shapes, image)
        if len(shape) != 4 or shape[0] < 1 or shape[1] != 3 or not _sides(shape[2:]):
            raise WeightsError(f"{image} must be pictures [N,3,H,W]; got {list(shape)}.")
        names |= {latent, image}
    return names


def _sides(sides: Shape) -> bool:
    return all(1 <= side <= MAX_SIDE for side in sides)
