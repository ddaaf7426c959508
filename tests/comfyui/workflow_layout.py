"""Where the nodes of a shipped workflow stand, and what its note says.

Columns from left to right in the order of work; the note stands in the first.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

GAP = 60
COLUMN_GAP = 110
TITLE = 30
"""Height of a node's title bar, which lies above its position."""
GROUP_TITLE = 50
MARGIN = 20

NOTE = "note"
NOTE_SIZE = (320, 270)
SIZES = {  # high enough for what the node shows after Run, in ComfyUI's classic design and in Nodes 2.0
    "LoadImage": (320, 450),
    "ThreeDpSpLoadModel": (320, 220),
    "ThreeDpSpAlign": (320, 540),
    "ThreeDpSpEstimatePose": (320, 600),
    "ThreeDpSpConfidenceMap": (320, 500),
    "ThreeDpSpEncode": (320, 520),
    "ThreeDpSpRefine": (320, 600),
    "ThreeDpSpBlendLatents": (320, 150),
    "ThreeDpSpSaveLatent": (320, 110),
    "ThreeDpSpCameraPath": (320, 380),
    "ThreeDpSpRenderViews": (320, 550),
    "ThreeDpSpExtractMesh": (320, 240),
    "ThreeDpSpEvaluate": (480, 420),
    "ThreeDpSpCheckSetup": (320, 60),
    "ImageBatch": (320, 80),
    "CreateVideo": (320, 120),
    "SaveVideo": (680, 880),
    "SaveImage": (760, 900),
    "PreviewImage": (320, 400),
    "Preview3D": (760, 880),
    "PreviewAny": (480, 220),
}

WEIGHTS = (
    "*Better heads:* put EG3D's .pkl and 3DpSp's .pt into **models/threedpsp** and choose them in **Load Model**: "
    "generator and encoder. 'tiny' comes with the pack."
)


@dataclass(frozen=True)
class Layout:
    """One workflow's."""

    title: str
    steps: tuple[str, ...]
    """What to do, for the note."""
    columns: tuple[tuple[str, tuple[str, ...]], ...]
    """(heading, numbers of the nodes from top to bottom), from left to right; "note" is the note."""

    @property
    def note(self) -> str:
        """The note, in Markdown."""
        steps = "\n".join(f"{index}. {step}" for index, step in enumerate(self.steps, 1))
        return f"## {self.title}\n\n{steps}\n\n{WEIGHTS}"


OWN_PHOTO = "Drop your own photo on **Load Image**."
LAYOUTS = {
    "photo_to_turntable": Layout(
        "Photo to turntable",
        (OWN_PHOTO, "Press **Run**: the head turns.", "Another way round? Change **Camera Path** and press Run again."),
        (
            ("Photo", (NOTE, "2")),
            ("Face", ("3", "4")),
            ("Head", ("1", "5", "6")),
            ("Views", ("7", "8")),
            ("Video", ("9",)),
        ),
    ),
    "photo_to_turntable_refined": Layout(
        "Photo to turntable, refined",
        (
            OWN_PHOTO,
            "Press **Run**: Refine makes 40 updates, in about 20 seconds on two CPU cores.",
            "More **steps**, more likeness; it ends at **seconds** even if some are left.",
        ),
        (
            ("Photo", (NOTE, "2")),
            ("Face", ("3", "4")),
            ("Head", ("5", "1", "6")),
            ("Likeness", ("7", "8")),
            ("Views", ("9", "10")),
            ("Video", ("11",)),
        ),
    ),
    "two_people_blended": Layout(
        "Two people blended",
        ("Drop two photos on the two **Load Image**.", "Press **Run**.", "Move the slider of **Blend Latents**; Run."),
        (
            ("Photos", (NOTE, "2", "3")),
            ("Faces", ("4", "5")),
            ("Heads", ("1", "6", "7")),
            ("Blend", ("8", "13", "9")),
            ("Views", ("10", "11")),
            ("Video", ("12",)),
        ),
    ),
    "photo_to_mesh": Layout(
        "Photo to mesh",
        (OWN_PHOTO, "Press **Run**; turn the head with the mouse.", "The .glb lies in ComfyUI's output folder."),
        (
            ("Photo", (NOTE, "2")),
            ("Face", ("3", "4")),
            ("Head", ("1", "5")),
            ("Mesh", ("6", "7")),
            ("Depth and normals", ("8", "9")),
            ("Surface", ("10",)),
        ),
    ),
    "batch_of_photos": Layout(
        "Batch of photos",
        (
            "Drop photos on the three **Load Image**.",
            "Press **Run**: nine views of each head.",
            "More photos: more **Batch Images**.",
        ),
        (
            ("Start", (NOTE,)),
            ("Photos", ("2", "3", "4")),
            ("Faces", ("5", "6", "7")),
            ("Heads", ("1", "8", "9")),
            ("Views", ("10",)),
            ("Pictures", ("11",)),
        ),
    ),
    "evaluation": Layout(
        "How close is it?",
        (OWN_PHOTO, "Press **Run**.", "Compare the figures after Encode with those after Refine."),
        (
            ("Photo", (NOTE, "2")),
            ("Face", ("3", "4")),
            ("Head", ("5", "1", "6")),
            ("Likeness, and this machine", ("8", "10", "13")),
            ("Figures", ("7", "11", "9", "12")),
        ),
    ),
}


def laid_out(graph: dict[str, Any], name: str) -> dict[str, Any]:
    """A graph as the page serialises it -> the same, tidy, with note and groups, equal whenever it is made again."""
    layout = LAYOUTS[name]
    nodes = {str(node["id"]): node for node in graph["nodes"]}
    nodes[NOTE] = _note(layout.note, graph["last_node_id"] + 1)
    placed = [number for _, column in layout.columns for number in column]
    if sorted(placed) != sorted(nodes):
        raise ValueError(f"{name}: the layout places {sorted(placed)}, and the workflow has {sorted(nodes)}.")
    groups = []
    left = 0
    for index, (heading, column) in enumerate(layout.columns, 1):
        width = max(_size(nodes[number])[0] for number in column)
        top = 0
        for number in column:
            height = _size(nodes[number])[1]
            nodes[number]["pos"] = [left, top + TITLE]
            nodes[number]["size"] = [width, height]
            top += TITLE + height + GAP
        groups.append(_group(index, heading, left, width, top - GAP))
        left += width + COLUMN_GAP
    _number_links(graph)
    return {
        **graph,
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"threedpsp/{name}")),
        "last_node_id": graph["last_node_id"] + 1,
        "nodes": list(nodes.values()),
        "groups": groups,
        "extra": {"ds": {"scale": 0.6, "offset": [120, 180]}},
    }


def _size(node: dict[str, Any]) -> tuple[int, int]:
    return NOTE_SIZE if node["type"] == "MarkdownNote" else SIZES[node["type"]]


def _note(text: str, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "MarkdownNote",
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "title": "Start here",
        "properties": {},
        "widgets_values": [text],
        "color": "#233",
        "bgcolor": "#355",
    }


def _group(index: int, heading: str, left: int, width: int, height: int) -> dict[str, Any]:
    return {
        "id": index,
        "title": f"{index}. {heading}",
        "bounding": [left - MARGIN, -GROUP_TITLE, width + 2 * MARGIN, height + GROUP_TITLE + MARGIN],
        "color": "#3f789e",
        "font_size": 24,
        "flags": {},
    }


def _number_links(graph: dict[str, Any]) -> None:
    """Numbers the links from 1: the page counts on from whatever was open before."""
    new = {link[0]: index for index, link in enumerate(graph["links"], 1)}
    for link in graph["links"]:
        link[0] = new[link[0]]
    for node in graph["nodes"]:
        for socket in node["inputs"]:
            if socket.get("link") is not None:
                socket["link"] = new[socket["link"]]
        for socket in node["outputs"]:
            if socket.get("links"):
                socket["links"] = [new[link] for link in socket["links"]]
    graph["last_link_id"] = len(new)
