"""The shipped workflows fit the nodes: ids, inputs, links and values; examples they load are shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.nodes.comfy_stand_in.install import PACK

WORKFLOWS = sorted((PACK / "workflows" / "api").glob("*.json"))
PREFIX = "ThreeDpSp"


def problem(socket: Any, value: Any, workflow: dict[str, Any], schemas: dict[str, Any]) -> str | None:
    """What is wrong with an input's value; None: nothing."""
    if isinstance(value, list):
        source = workflow[value[0]]
        if not source["class_type"].startswith(PREFIX):
            return None  # a core node: the tests with a real ComfyUI see to it
        outputs = schemas[source["class_type"]].outputs
        fits = value[1] < len(outputs) and outputs[value[1]].type_name == socket.type_name
        return None if fits else f"{source['class_type']} has no {socket.type_name} at output {value[1]}"
    kinds = {"INT": int, "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool, "COMBO": str}
    if socket.type_name not in kinds or not isinstance(value, kinds[socket.type_name]):
        return f"{value!r} is no {socket.type_name}"
    options = socket.options
    if "options" in options and value not in options["options"]:
        return f"{value!r} is not one of {options['options']}"
    if "min" in options and not options["min"] <= value <= options["max"]:
        return f"{value} lies outside {options['min']} to {options['max']}"
    return None


def problems(workflow: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    found = []
    for number, node in workflow.items():
        name = node["class_type"]
        if not name.startswith(PREFIX):
            continue
        sockets = {socket.id: socket for socket in schemas[name].inputs}
        given = node["inputs"]
        found += [f"{number} {name}: there is no input {unknown}" for unknown in given.keys() - sockets.keys()]
        for socket_id, socket in sockets.items():
            if socket_id not in given:
                found += [] if socket.optional else [f"{number} {name}: {socket_id} is missing"]
            elif wrong := problem(socket, given[socket_id], workflow, schemas):
                found.append(f"{number} {name}.{socket_id}: {wrong}")
    return found


def test_workflows_are_there():
    assert len(WORKFLOWS) >= 6


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_fits_the_nodes(path: Path, schemas: dict[str, Any]):
    assert not problems(json.loads(path.read_text()), schemas)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_photos_of_a_workflow_are_shipped(path: Path):
    photos = [n["inputs"]["image"] for n in json.loads(path.read_text()).values() if n["class_type"] == "LoadImage"]
    assert all((PACK / "nodes" / "example_photos" / photo).is_file() for photo in photos)


@pytest.mark.parametrize(
    ("socket", "value", "expected"),
    [
        ("frames", 0, "lies outside"),
        ("frames", "48", "is no INT"),
        ("path", "zigzag", "is not one of"),
        ("no_such_input", 1, "there is no input"),
    ],
)
def test_a_workflow_that_does_not_fit_is_noticed(socket: str, value: Any, expected: str, schemas: dict[str, Any]):
    workflow = json.loads((PACK / "workflows" / "api" / "photo_to_turntable.json").read_text())
    path = next(node for node in workflow.values() if node["class_type"] == "ThreeDpSpCameraPath")
    path["inputs"][socket] = value
    (found,) = problems(workflow, schemas)
    assert expected in found
