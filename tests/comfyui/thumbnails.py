"""Thumbnails of the workflows, put together from what they really made: photo first, then the result."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tests.comfyui.browser import ComfyPage, open_browser
from tests.comfyui.client import Client, Run, Workflow
from tests.comfyui.pictures import frames_of, picture_of
from tests.comfyui.server import Server
from tests.comfyui.workflows import API_FOLDER, number, numbers, photos

SIZE = (512, 384)
TILE = 128
BACKGROUND = (24, 24, 24)

Box = tuple[int, int, int, int]
"""Left, top, width, height in pixels."""


class Results:
    """The pictures of one run."""

    def __init__(self, workflow: Workflow, run: Run, client: Client, server: Server) -> None:
        self.workflow, self.run = workflow, run
        self._client, self._server = client, server

    def photo(self, index: int = 0) -> np.ndarray:
        """What Load Image has."""
        return picture_of((self._server.base / "input" / photos(self.workflow)[index]).read_bytes())

    def pictures(self, node: str) -> list[np.ndarray]:
        """What a node shows."""
        return [picture_of(self._client.fetch(file)) for file in self.run.files(node)]

    def crop(self, index: int = 0) -> np.ndarray:
        """What Align shows."""
        return self.pictures(numbers(self.workflow, "ThreeDpSpAlign")[index])[0]

    def viewer(self) -> np.ndarray:
        """What the 3-D viewer of the page shows."""
        with open_browser(show_3d=True) as browser:
            page = ComfyPage(browser, self._server.url)
            page.load(API_FOLDER.parent / "photo_to_mesh.json")
            page.press_run()
            page.wait_for_end(300)
            shown = np.asarray(page.viewer())
        height, width = shown.shape[:2]
        return shown[height // 6 : -height // 6, width // 4 : -width // 4]  # the head, without the buttons

    def frames(self) -> np.ndarray:
        """The video's."""
        (file,) = self.run.files(number(self.workflow, "SaveVideo"))
        return frames_of(self._client.fetch(file))


def thumbnail(name: str, workflow: Workflow, run: Run, client: Client, server: Server) -> Image.Image:
    """The picture for a workflow by its name."""
    return MAKERS[name](Results(workflow, run, client, server))


def _turntable(results: Results) -> Image.Image:
    frames = results.frames()
    quarter = len(frames) // 4
    turned = [quarter, quarter // 2, 3 * quarter - quarter // 2, 3 * quarter]  # from one side to the other
    return _assembled(
        ((0, 0, 256, 256), results.crop()),
        ((256, 0, 256, 256), frames[0]),
        *(((index * TILE, 256, TILE, TILE), frames[frame]) for index, frame in enumerate(turned)),
    )


def _blend(results: Results) -> Image.Image:
    return _assembled(
        ((0, 0, 192, 192), results.crop(0)),
        ((0, 192, 192, 192), results.crop(1)),
        ((192, 0, 320, 384), results.frames()[0]),
    )


def _mesh(results: Results) -> Image.Image:
    _, normals = (results.pictures(node)[0] for node in numbers(results.workflow, "PreviewImage"))
    return _assembled(
        ((0, 0, 192, 192), results.crop()),
        ((0, 192, 192, 192), normals),
        ((192, 0, 320, 384), results.viewer()),
    )


def _batch(results: Results) -> Image.Image:
    views = results.pictures(number(results.workflow, "SaveImage"))
    each = len(views) // 3
    tiles = []
    for row in range(3):
        head = views[row * each : (row + 1) * each]
        pictures = [results.photo(row), head[0], head[each // 4], head[3 * each // 4]]
        tiles += [((column * TILE, row * TILE, TILE, TILE), picture) for column, picture in enumerate(pictures)]
    return _assembled(*tiles)


def _evaluation(results: Results) -> Image.Image:
    first, second = sorted(numbers(results.workflow, "ThreeDpSpEvaluate"), key=int)
    before, after = (results.pictures(node)[0] for node in (first, second))
    half = before.shape[1] // 2
    picture = _assembled(
        ((0, 0, 170, 256), before[:, :half]),
        ((171, 0, 170, 256), before[:, half:]),
        ((342, 0, 170, 256), after[:, half:]),
    )
    captions = [
        "photo",
        f"first likeness\n{_figures(results, first)}",
        f"refined\n{_figures(results, second)}",
    ]
    draw = ImageDraw.Draw(picture)
    for column, caption in enumerate(captions):
        draw.multiline_text(
            (171 * column + 85, 320),
            caption,
            fill="white",
            font=ImageFont.load_default(20),
            anchor="mm",
            align="center",
            spacing=8,
        )
    return picture


def _figures(results: Results, node: str) -> str:
    """The figures that Evaluate shows, for people: dB and identity distance."""
    text = "\n".join(results.run.outputs[node]["text"])
    psnr, _, _, identity = re.findall(r"\| 1 \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+)", text)[0]
    return f"{float(psnr):.1f} dB\nidentity {float(identity):.2f}"


def _assembled(*tiles: tuple[Box, np.ndarray]) -> Image.Image:
    picture = Image.new("RGB", SIZE, BACKGROUND)
    for (left, top, width, height), content in tiles:
        fitted = ImageOps.fit(Image.fromarray(content), (width, height), Image.Resampling.LANCZOS)
        picture.paste(fitted, (left, top))
    return picture


MAKERS: dict[str, Callable[[Results], Image.Image]] = {
    "photo_to_turntable": _turntable,
    "photo_to_turntable_refined": _turntable,
    "two_people_blended": _blend,
    "photo_to_mesh": _mesh,
    "batch_of_photos": _batch,
    "evaluation": _evaluation,
}
