"""ComfyUI's way in; nothing is imported until ComfyUI calls `comfy_entrypoint`."""

from __future__ import annotations

from typing import Any

WEB_DIRECTORY = "./web"
"""What ComfyUI serves of this pack: the nodes' help pages, in `docs/`."""


async def comfy_entrypoint() -> Any:
    """The extension that lists the nodes (ComfyUI's V3 interface)."""
    from .nodes import ThreeDpSpExtension

    return ThreeDpSpExtension()
