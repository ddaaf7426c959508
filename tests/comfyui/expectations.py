"""What each shipped workflow must have made, judged by the files it wrote. Each check returns its figures in words."""

from __future__ import annotations

import io
import itertools
import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from tests.comfyui.client import Client, Run, Workflow
from tests.comfyui.pictures import difference, frames_of, identity, own_view_figures, picture_of, smallest_step
from tests.comfyui.server import Server
from tests.comfyui.workflows import changed, number, numbers, only_for, photos

SIDE = 512  # RenderViews enlarges tiny's 128 pixels to it
FRAMES = 48
ENCODED = 0.4
"""Identity after Encode, a first likeness included: .15 to .24 measured. dlib calls below .6 one person; strangers
among photos lie about .78 apart, heads of tiny are more alike."""
REFINED = 0.3
"""Identity after Refine: below the first likeness's. Measured .145 at the model's own 128 pixels and
.182 on a frame of the video at 512."""
MOVES = 0.2
"""Mean difference of neighbouring frames in levels of 255, at the least: swing turns slowest at its ends, .49 measured;
frames that repeat differ by 0."""


@dataclass(frozen=True)
class Made:
    """One finished workflow and where to ask for more."""

    workflow: Workflow
    run: Run
    client: Client
    server: Server

    def photo(self, index: int = 0) -> Path:
        """A photo that the workflow begins with."""
        return self.server.base / "input" / photos(self.workflow)[index]

    def pictures(self, node: str) -> list[np.ndarray]:
        """The pictures that a node shows."""
        return [picture_of(self.client.fetch(file)) for file in self.run.files(node)]

    def video(self) -> np.ndarray:
        """The frames of the one video, checked: their number and size, and that each differs from the one before."""
        (file,) = self.run.files(number(self.workflow, "SaveVideo"))
        assert file["filename"].endswith(".mp4")
        frames = frames_of(self.client.fetch(file))
        assert frames.shape == (FRAMES, SIDE, SIDE, 3)
        assert smallest_step(frames) > MOVES
        return frames

    def text(self, node: str) -> str:
        """The text that a node shows."""
        return "\n".join(self.run.outputs[node]["text"])


def turntable(made: Made) -> str:
    """A video that begins with the person of the photo, as Encode makes her, with a first likeness."""
    return _turntable(made, ENCODED)


def turntable_refined(made: Made) -> str:
    """The same, closer."""
    return _turntable(made, REFINED)


def _turntable(made: Made, limit: float) -> str:
    frames = made.video()
    figures = own_view_figures(made.photo(), frames[0])  # swing begins at the photo's camera
    assert figures["identity"] < limit
    # It goes to both sides and comes back: the frames farthest apart are a quarter before and after the middle.
    assert difference(frames[FRAMES // 4], frames[3 * FRAMES // 4]) > 5
    return f"{_video_words(frames)}, identity {figures['identity']:.3f} (< {limit}), PSNR {figures['psnr']:.1f} dB"


def blend(made: Made) -> str:
    """A head that lies between the two: closer to each than they are to each other, in pixels and in identity."""
    frames = made.video()
    (saved,) = made.text(number(made.workflow, "ThreeDpSpSaveLatent")).splitlines()
    assert Path(saved).stat().st_size > 1000
    ends = [_first_view(made, amount) for amount in (0.0, 1.0)]
    middle = frames[0]
    apart = difference(*ends)
    pixels = [difference(middle, end) for end in ends]
    assert max(pixels) < 0.8 * apart
    # How much more each picture looks like the second photo than like the first: rises from one end to the other.
    lean = [
        identity(made.photo(0), picture) - identity(made.photo(1), picture) for picture in (ends[0], middle, ends[1])
    ]
    assert lean[0] < lean[1] < lean[2]
    return (
        f"{_video_words(frames)}, pixels to the two {pixels[0]:.1f} and {pixels[1]:.1f} of {apart:.1f}, "
        f"leaning to the second {lean[0]:.2f} < {lean[1]:.2f} < {lean[2]:.2f}"
    )


def _first_view(made: Made, amount: float) -> np.ndarray:
    """The first view of one end of the blend; its encoders need not run again."""
    render = number(made.workflow, "ThreeDpSpRenderViews")
    workflow = only_for(made.workflow, render)
    workflow["show"] = {"class_type": "PreviewImage", "inputs": {"images": [render, 0]}}
    workflow = changed(workflow, "ThreeDpSpBlendLatents", amount=amount)
    workflow = changed(workflow, "ThreeDpSpCameraPath", frames=2)
    run = made.client.succeed(workflow)
    assert not set(run.executed) & set(numbers(workflow, "ThreeDpSpEncode"))
    return picture_of(made.client.fetch(run.files("show")[0]))


def mesh(made: Made) -> str:
    """A GLB file with a coloured surface, and pictures of depth and normals."""
    (name, _) = made.run.outputs[number(made.workflow, "ThreeDpSpExtractMesh")]["result"]
    words = mesh_words((made.server.output / name).read_bytes())
    for node in numbers(made.workflow, "PreviewImage"):
        (picture,) = made.pictures(node)
        assert picture.shape == (128, 128, 3)
        assert picture.std() > 20
    return words


def mesh_words(data: bytes) -> str:
    """The figures of a GLB file, which must hold one closed surface with a colour at each vertex."""
    magic, version, length, json_length, json_kind = struct.unpack("<4sIII4s", data[:20])
    assert (magic, version, length, json_kind) == (b"glTF", 2, len(data), b"JSON")
    content = json.loads(data[20 : 20 + json_length])
    (surface,) = content["meshes"]
    (primitive,) = surface["primitives"]
    assert {"POSITION", "NORMAL", "COLOR_0"} <= set(primitive["attributes"])
    (shape,) = trimesh.load_scene(io.BytesIO(data), file_type="glb").geometry.values()
    colours = shape.visual.vertex_attributes["color"]  # where trimesh keeps them beside a material
    shape.visual = trimesh.visual.ColorVisuals(shape, vertex_colors=colours)
    return surface_words(shape)


def surface_words(shape: Any) -> str:
    """The figures of a surface with a colour at each vertex."""
    assert len(shape.faces) > 5000
    assert shape.visual.kind == "vertex"
    colours = np.asarray(shape.visual.vertex_colors)[:, :3]
    assert len(colours) == len(shape.vertices)
    assert colours.std(axis=0).min() > 10  # skin, hair and clothes differ
    sides = shape.bounds[1] - shape.bounds[0]
    assert (sides > 0.2).all() and (sides <= 1.05).all()  # a head in EG3D's cube of side 1
    return f"{len(shape.vertices)} vertices, {len(shape.faces)} triangles, coloured"


def batch(made: Made) -> str:
    """Nine pictures of each of three people, each likest to the own photo."""
    pictures = made.pictures(number(made.workflow, "SaveImage"))
    assert [picture.shape for picture in pictures] == [(SIDE, SIDE, 3)] * 27
    heads = [pictures[start : start + 9] for start in (0, 9, 18)]
    for head in heads:
        views = head[:-1]  # the path ends where it began
        assert min(difference(a, b) for a, b in itertools.combinations(views, 2)) > MOVES
    people = [made.photo(index) for index in range(3)]
    distances = np.array([[identity(person, head[0]) for person in people] for head in heads])
    assert distances.argmin(axis=1).tolist() == [0, 1, 2]
    apart = min(difference(a[0], b[0]) for a, b in itertools.combinations(heads, 2))
    assert apart > 5
    own = "/".join(f"{value:.2f}" for value in np.diag(distances))
    others = distances[~np.eye(3, dtype=bool)].min()
    return f"27 pictures {SIDE}x{SIDE} of 3 people, identity {own}, nearest other {others:.2f}"


def evaluation(made: Made) -> str:
    """Figures that say what our own measure says, better after Refine; and a report of the setup."""
    before, after = (_table(made.text(node)) for node in sorted(numbers(made.workflow, "ThreeDpSpEvaluate"), key=int))
    assert before["identity"] < ENCODED and after["identity"] < REFINED
    assert after["psnr"] > before["psnr"] + 1
    assert after["ssim"] > before["ssim"]
    assert after["lpips"] < before["lpips"]
    for node in numbers(made.workflow, "ThreeDpSpEvaluate"):
        (side_by_side,) = made.pictures(node)
        assert side_by_side.shape == (128, 256, 3)
        measured = own_view_figures(made.photo(), side_by_side[:, 128:])
        said = _table(made.text(node))
        # Its picture was rounded to 8 bits to be shown here.
        assert abs(measured["psnr"] - said["psnr"]) < 0.05
        assert abs(measured["identity"] - said["identity"]) < 0.01
    setup = made.text(number(made.workflow, "ThreeDpSpCheckSetup"))
    assert "Device" in setup and "tiny" in setup and "mediapipe" in setup
    return (
        f"first likeness: identity {before['identity']:.3f}, PSNR {before['psnr']:.1f} dB; "
        f"refined {after['identity']:.3f}, {after['psnr']:.1f} dB"
    )


def _table(text: str) -> dict[str, float]:
    """The row of Evaluate's only photo."""
    row = re.search(r"\| 1 \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \((same|another) person\) \|", text)
    assert row, text
    figures = dict(zip(("psnr", "ssim", "lpips", "identity"), map(float, row.groups()[:4]), strict=True))
    assert (row.group(5) == "same") == (figures["identity"] < 0.6)
    return figures


def _video_words(frames: np.ndarray) -> str:
    return f"{len(frames)} frames {frames.shape[2]}x{frames.shape[1]}"


EXPECTATIONS: dict[str, Callable[[Made], str]] = {
    "photo_to_turntable": turntable,
    "photo_to_turntable_refined": turntable_refined,
    "two_people_blended": blend,
    "photo_to_mesh": mesh,
    "batch_of_photos": batch,
    "evaluation": evaluation,
}
"""By the workflow's name: a shipped workflow without one fails, and so does an expectation without its workflow."""
