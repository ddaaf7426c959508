"""ComfyUI's interface and the types that flow between our nodes. The only file that imports comfy_api."""

from __future__ import annotations

import dataclasses
from typing import Any

from comfy_api.latest import ComfyExtension, io, ui

__all__ = [
    "CAMERA",
    "FACE",
    "FACE_LANDMARKS",
    "LATENT",
    "MODEL",
    "VIEWER_CAMERA",
    "ComfyExtension",
    "io",
    "node_schema",
    "running_comfyui_has",
    "ui",
]

MODEL = io.Custom("THREEDPSP_MODEL")  # LoadedModel: generator and encoder
FACE = io.Custom("THREEDPSP_FACE")  # FaceCrop of one photo or several
LATENT = io.Custom("THREEDPSP_LATENT")  # list[Inversion], each of one head
CAMERA = io.Custom("EG3D_CAMERA")  # Camera, one or many
VIEWER_CAMERA = io.Custom("LOAD3D_CAMERA")  # ComfyUI's own: where its 3-D viewer looks from
FACE_LANDMARKS = io.Custom("FACE_LANDMARKS")  # ComfyUI's own since 2026: what its MediaPipe nodes found

_CATEGORY = "3DpSp"
_KNOWN_TO_SCHEMA = {field.name for field in dataclasses.fields(io.Schema)}


def node_schema(
    node_id: str,
    display_name: str,
    description: str,
    *,
    inputs: list[Any],
    outputs: list[Any],
    group: str = "",
    search_aliases: list[str] | None = None,
    **options: Any,
) -> io.Schema:
    """A schema in our category.

    Args:
        node_id: frozen: saved workflows name it.
        display_name: what people see.
        description: what the node does, in a sentence or two.
        inputs: each with a tooltip.
        outputs: each with a tooltip.
        group: sub-category.
        search_aliases: other words people look for; left out where this ComfyUI does not know them.
        options: further fields of `io.Schema`.
    """
    if search_aliases and "search_aliases" in _KNOWN_TO_SCHEMA:
        options["search_aliases"] = search_aliases
    return io.Schema(
        node_id=node_id,
        display_name=display_name,
        category=f"{_CATEGORY}/{group}" if group else _CATEGORY,
        description=description,
        inputs=inputs,
        outputs=outputs,
        **options,
    )


def running_comfyui_has(node_id: str) -> bool:
    """Whether this ComfyUI has a node of its own by that name (core nodes are loaded before custom ones)."""
    import nodes  # ComfyUI's module, not this package

    return node_id in nodes.NODE_CLASS_MAPPINGS
