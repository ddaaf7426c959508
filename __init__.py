"""ComfyUI's way in; nothing is imported until ComfyUI calls `comfy_entrypoint`."""

from __future__ import annotations

from typing import Any


async def comfy_entrypoint() -> Any:
    """The extension that lists the nodes (ComfyUI's V3 interface)."""
    from .nodes import ThreeDpSpExtension

    return ThreeDpSpExtension()
