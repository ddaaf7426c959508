"""The shipped workflows as the API takes them, and small changes to them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from tests.comfyui.client import Workflow
from tests.comfyui.environment import REPOSITORY

API_FOLDER = REPOSITORY / "workflows" / "api"
SHIPPED = sorted(API_FOLDER.glob("*.json"))


def shipped(name: str) -> Workflow:
    """One of workflows/api, without the ending."""
    return json.loads((API_FOLDER / f"{name}.json").read_text())


def numbers(workflow: Workflow, node_type: str) -> list[str]:
    """The nodes of a type."""
    return [number for number, node in workflow.items() if node["class_type"] == node_type]


def number(workflow: Workflow, node_type: str) -> str:
    """The only node of a type."""
    (found,) = numbers(workflow, node_type)
    return found


def changed(workflow: Workflow, node_type: str, **inputs: Any) -> Workflow:
    """A copy in which every node of a type has these inputs."""
    result = copy.deepcopy(workflow)
    found = numbers(result, node_type)
    assert found, f"no {node_type} here"
    for one in found:
        result[one]["inputs"].update(inputs)
    return result


def only_for(workflow: Workflow, *ends: str) -> Workflow:
    """A copy with these nodes and what they need, and nothing else."""
    kept: dict[str, dict[str, Any]] = {}
    wanted = list(ends)
    while wanted:
        one = wanted.pop()
        if one not in kept:
            kept[one] = copy.deepcopy(workflow[one])
            wanted += [value[0] for value in kept[one]["inputs"].values() if isinstance(value, list)]
    return {one: kept[one] for one in workflow if one in kept}


def photos(workflow: Workflow) -> list[str]:
    """The names in Load Image's widgets."""
    return [workflow[one]["inputs"]["image"] for one in numbers(workflow, "LoadImage")]
