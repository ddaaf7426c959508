"""The cameras of viewers made with three.js, as those of ComfyUI are, as our own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from .camera import FACE_SPHERE, Camera, CameraSphere
from .errors import InputError


def camera_from_viewer(viewer: Mapping[str, Any], *, sphere: CameraSphere = FACE_SPHERE) -> Camera:
    """A camera that looks at the head from the viewer camera's direction, at our own distance.

    Viewers scale and centre what they show, so their distance means nothing here; zoom does.

    Args:
        sphere: where the generator's cameras stand and look.
        viewer: "position" and "target" with x, y, z (right-handed, y up), and "zoom" (1 if it is not there).

    Raises:
        InputError: a part is missing, or not finite, or both points are the same.
    """
    try:
        position, target = ([float(viewer[name][axis]) for axis in "xyz"] for name in ("position", "target"))
        zoom = float(viewer.get("zoom") or 1.0)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"A viewer's camera has position and target with x, y and z, and zoom; this one lacks {error}."
        ) from error
    x, y, z = (p - t for p, t in zip(position, target, strict=True))
    distance = math.hypot(x, y, z)
    if not (math.isfinite(distance) and distance > 0 and math.isfinite(zoom) and zoom > 0):
        raise InputError("A viewer's camera needs finite numbers, a position away from its target, and a zoom above 0.")
    pitch = max(-89.0, min(89.0, math.degrees(math.asin(y / distance))))
    camera = sphere.at(math.degrees(math.atan2(x, z)), pitch)
    intrinsics = camera.intrinsics.clone()
    intrinsics[:, 0, 0] *= zoom
    intrinsics[:, 1, 1] *= zoom
    return dataclasses.replace(camera, intrinsics=intrinsics)
