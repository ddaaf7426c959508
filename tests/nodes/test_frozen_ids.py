"""Saved workflows name nodes, inputs and outputs by these ids: none may go or change its type or its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FROZEN = Path(__file__).with_name("frozen_ids.json")


def ids(schema: Any) -> dict[str, list[str]]:
    return {
        "inputs": [f"{socket.id}: {socket.type_name}" for socket in schema.inputs],
        "outputs": [f"{socket.id}: {socket.type_name}" for socket in schema.outputs],
    }


def test_node_ids_are_those_of_saved_workflows(schemas: dict[str, Any]):
    assert {node_id: ids(schema) for node_id, schema in schemas.items()} == json.loads(FROZEN.read_text())


def test_ids_are_unique_within_a_node(schemas: dict[str, Any]):
    for node_id, schema in schemas.items():
        for sockets in (schema.inputs, schema.outputs):
            names = [socket.id for socket in sockets]
            assert len(names) == len(set(names)), node_id
