"""The pack in a real ComfyUI: it loads, and says what every widget and socket is for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.comfyui.client import Client
from tests.comfyui.pack import PACK
from tests.comfyui.server import Server

pytestmark = pytest.mark.comfyui


@pytest.fixture
def our_nodes(client: Client) -> dict[str, Any]:
    """Name -> what /object_info says, of the nodes that came from our folder."""
    infos = client.object_info()
    return {name: info for name, info in infos.items() if info["python_module"] == f"custom_nodes.{PACK}"}


def test_the_server_loads_the_pack(server: Server) -> None:
    assert "IMPORT FAILED" not in server.log()
    assert f"custom_nodes/{PACK}" in server.log()


def test_the_page_learns_of_our_nodes(our_nodes: dict[str, Any]) -> None:
    assert our_nodes
    assert {info["category"].split("/")[0] for info in our_nodes.values()} == {"3DpSp"}
    assert [name for name, info in our_nodes.items() if not info["description"]] == []


def test_every_input_and_output_has_a_tooltip(our_nodes: dict[str, Any]) -> None:
    inputs = {
        f"{name}.{key}": (options[1] if len(options) > 1 else {}).get("tooltip")
        for name, info in our_nodes.items()
        for group in ("required", "optional")
        for key, options in info["input"].get(group, {}).items()
    }
    outputs = {
        f"{name}.{output}": tooltip
        for name, info in our_nodes.items()
        for output, tooltip in zip(info["output_name"], info["output_tooltips"], strict=True)
    }
    print(f"tooltips: {len(our_nodes)} nodes, {len(inputs)} inputs, {len(outputs)} outputs")
    assert [key for key, tooltip in {**inputs, **outputs}.items() if not tooltip] == []
