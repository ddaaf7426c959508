"""The workflow files, without a server: what people open says the same as what the API takes, and looks tidy."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "workflows"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
NOTES = ("Note", "MarkdownNote")
PAGE_ONLY = {"LoadImage": ("upload",), "Preview3D": ("image",), "PreviewAny": ("preview", "previewMode")}
"""Widgets that only the page has: a button, what a node shows."""
TITLE_HEIGHT = 30


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def as_api(graph: dict[str, Any]) -> dict[str, Any]:
    """A graph as the page saves it -> API format, as far as the file alone tells."""
    sources = {link[0]: [str(link[1]), link[2]] for link in graph["links"]}
    return {
        str(node["id"]): {"class_type": node["type"], "inputs": _inputs(node, sources)}
        for node in graph["nodes"]
        if node["type"] not in NOTES
    }


def _inputs(node: dict[str, Any], sources: dict[int, list[Any]]) -> dict[str, Any]:
    widgets = [socket["name"] for socket in node["inputs"] if "widget" in socket]
    values = dict(zip(widgets, node.get("widgets_values") or [], strict=False))
    linked = {socket["name"]: sources[socket["link"]] for socket in node["inputs"] if socket.get("link") is not None}
    return {**values, **linked}


def without_page_only(workflow: dict[str, Any]) -> dict[str, Any]:
    """Class and inputs of every node: what its result depends on."""
    return {
        number: (node["class_type"], {k: v for k, v in node["inputs"].items() if k not in _page_only(node)})
        for number, node in workflow.items()
    }


def _page_only(node: dict[str, Any]) -> tuple[str, ...]:
    return PAGE_ONLY.get(node["class_type"], ())


def test_every_workflow_has_both_formats_and_a_thumbnail() -> None:
    assert "photo_to_turntable" in NAMES
    assert sorted(path.stem for path in (FOLDER / "api").glob("*.json")) == NAMES
    assert sorted(path.stem for path in FOLDER.glob("*.jpg")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_people_open_is_what_the_api_takes(name: str) -> None:
    graph, api = read(FOLDER / f"{name}.json"), read(FOLDER / "api" / f"{name}.json")
    assert without_page_only(as_api(graph)) == without_page_only(api)
    titles = {str(node["id"]): node.get("title") for node in graph["nodes"]}
    for number, node in api.items():
        wanted = node.get("_meta", {}).get("title")
        assert wanted is None or titles[number] == wanted


@pytest.mark.parametrize("name", NAMES)
def test_nodes_stand_apart_and_inside_their_groups(name: str) -> None:
    graph = read(FOLDER / f"{name}.json")
    boxes = {
        node["id"]: (
            node["pos"][0],
            node["pos"][1] - TITLE_HEIGHT,
            node["pos"][0] + node["size"][0],
            node["pos"][1] + node["size"][1],
        )
        for node in graph["nodes"]
    }
    for (_, a), (_, b) in itertools.combinations(boxes.items(), 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
    for box in boxes.values():
        assert any(_inside(box, group["bounding"]) for group in graph["groups"])


def _inside(box: tuple[float, float, float, float], bounding: list[float]) -> bool:
    left, top, width, height = bounding
    return left <= box[0] and top <= box[1] and box[2] <= left + width and box[3] <= top + height


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_from_left_to_right_or_down(name: str) -> None:
    graph = read(FOLDER / f"{name}.json")
    places = {node["id"]: node["pos"] for node in graph["nodes"]}
    for _, source, _, target, _, _ in graph["links"]:
        (x0, y0), (x1, y1) = places[source], places[target]
        assert x0 < x1 or (x0 == x1 and y0 < y1), f"from {source} to {target}"


@pytest.mark.parametrize("name", NAMES)
def test_a_note_says_what_to_do_and_where_better_weights_go(name: str) -> None:
    (note,) = [node for node in read(FOLDER / f"{name}.json")["nodes"] if node["type"] == "MarkdownNote"]
    (text,) = note["widgets_values"]
    assert "Load Image" in text and "Run" in text
    assert "models/threedpsp" in text and "Load Model" in text


@pytest.mark.parametrize("name", NAMES)
def test_thumbnails_are_small_pictures(name: str) -> None:
    path = FOLDER / f"{name}.jpg"
    with Image.open(path) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (512, 384)
    assert path.stat().st_size < 60_000


def test_the_list_of_workflows_names_each() -> None:
    text = (FOLDER / "README.md").read_text()
    assert [name for name in NAMES if f"{name}.json" not in text] == []
