"""The viewer in a real JupyterLab in Chromium: open, run all, move the slider and the mouse, see the picture change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.notebooks.builder import build
from tests.notebooks.lab import lab

pytestmark = pytest.mark.notebooks
PATIENT_MS = 180_000  # for a machine that has other things to do
CELL = """import threedpsp
from threedpsp.widgets import viewer

generator = threedpsp.load_generator("tiny", device="cpu")
viewer(generator, threedpsp.random_head(generator, 2))"""


def rested(page: Any) -> str:
    """The address of the picture once it has not changed for three seconds: coarse ones are followed by a full one."""
    picture, last = page.locator("img.threedpsp-view"), ""
    for _ in range(60):
        now = picture.get_attribute("src")
        if now == last:
            return now
        last = now
        page.wait_for_timeout(3000)
    raise AssertionError("the picture never came to rest")


def angles(page: Any) -> list[str]:
    """What the sliders read: yaw and pitch."""
    return page.locator(".widget-readout").all_inner_texts()[:2]


def test_viewer_turns_with_the_slider_and_the_mouse(tmp_path: Path):
    """With THREEDPSP_SCREENSHOTS set to a folder, the page is kept there."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat: pip install -e '.[notebooks]'")
    from tests.comfyui.browser import chromium

    notebook = tmp_path / "viewer.ipynb"
    cells = [nbformat.v4.new_code_cell(CELL)]
    nbformat.write(nbformat.v4.new_notebook(metadata=build.KERNEL, cells=cells), notebook)
    folder = tmp_path / "lab"
    folder.mkdir()
    with lab(notebook, folder) as address, sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(address, timeout=PATIENT_MS)
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=PATIENT_MS)
        page.wait_for_timeout(1000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        picture = page.locator("img.threedpsp-view")
        picture.wait_for(timeout=PATIENT_MS)
        first = rested(page)
        assert angles(page) == ["0", "0"]

        page.locator(".widget-hslider .noUi-handle").first.focus()
        for _ in range(12):
            page.keyboard.press("ArrowRight")
        second = rested(page)
        assert second != first
        assert angles(page) == ["12", "0"]
        if shots := os.environ.get("THREEDPSP_SCREENSHOTS"):
            page.screenshot(path=Path(shots) / "jupyterlab.png")

        box = picture.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 200, box["y"] + 150)
        page.mouse.down()
        page.mouse.move(box["x"] + 160, box["y"] + 150, steps=4)
        page.mouse.up()
        assert rested(page) != second
        assert angles(page) == ["22", "0"]  # 40 pixels to the left: 10 degrees to its right
        browser.close()
