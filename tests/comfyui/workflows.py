"""The shipped workflows as the API takes them, and small changes to them."""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.comfyui.client import Run, Workflow
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


def quick_turntable(frames: int = 3) -> Workflow:
    """The shipped turntable with few frames as the model draws them, shown as pictures by the node "show"."""
    workflow = changed(shipped("photo_to_turntable"), "ThreeDpSpCameraPath", frames=frames)
    render = number(workflow, "ThreeDpSpRenderViews")
    workflow = changed(only_for(workflow, render), "ThreeDpSpRenderViews", size=0)
    return workflow | {"show": _preview(render)}


def of_photos(workflow: Workflow, *names: str) -> Workflow:
    """A copy whose Align gets these pictures of the input folder (of one size) as a batch."""
    workflow = copy.deepcopy(workflow)
    for one in numbers(workflow, "LoadImage"):
        del workflow[one]
    joined = ""
    for index, name in enumerate(names):
        workflow[f"photo {index}"] = {"class_type": "LoadImage", "inputs": {"image": name}}
        if joined:
            inputs = {"image1": [joined, 0], "image2": [f"photo {index}", 0]}
            workflow[f"batch {index}"] = {"class_type": "ImageBatch", "inputs": inputs}
        joined = f"batch {index}" if joined else f"photo {index}"
    return changed(workflow, "ThreeDpSpAlign", photos=[joined, 0])


def random_head(seed: int = 0) -> Workflow:
    """A head of nobody, one view of which the node "show" shows; needs no photo."""
    return {
        "model": shipped("photo_to_turntable")[number(shipped("photo_to_turntable"), "ThreeDpSpLoadModel")],
        "head": {
            "class_type": "ThreeDpSpRandomHead",
            "inputs": {"model": ["model", 0], "seed": seed, "truncation": 0.7},
        },
        "views": {
            "class_type": "ThreeDpSpRenderViews",
            "inputs": {"model": ["model", 0], "latent": ["head", 0], "size": 0, "frames_at_once": 1},
        },
        "show": _preview("views"),
    }


def _preview(node: str, output: int = 0) -> dict[str, Any]:
    return {"class_type": "PreviewImage", "inputs": {"images": [node, output]}}


def text_of(run: Run, node: str) -> str:
    """The text that a node shows."""
    return "\n".join(run.outputs[node]["text"])
