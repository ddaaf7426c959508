"""The ComfyUI nodes. The list is empty until the ComfyUI milestone brings them; the pack already loads."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io


class ThreeDpSpExtension(ComfyExtension):
    """Lists this pack's nodes for ComfyUI."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The node classes; they arrive with the ComfyUI milestone."""
        return []
