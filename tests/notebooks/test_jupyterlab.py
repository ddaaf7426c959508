"""The first notebook in a real JupyterLab: open, run all, move the slider and the mouse, see the picture change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.notebooks.execute import ROOT
from tests.notebooks.lab import lab

pytestmark = pytest.mark.notebooks
RUN_MS = 900_000  # all cells, on a machine that has other things to do


def test_viewer_turns_with_the_slider_and_the_mouse(tmp_path: Path):
    """With THREEDPSP_SCREENSHOTS set to a folder, the page is kept there."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    from tests.comfyui.browser import chromium

    with (
        lab(ROOT / "notebooks" / "01_one_photo_to_a_turning_head.ipynb", tmp_path) as address,
        sync_api.sync_playwright() as play,
    ):
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(address, timeout=RUN_MS)
        page.locator(".jp-Notebook").wait_for(timeout=RUN_MS)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        picture = page.locator("img.threedpsp-view")
        picture.wait_for(timeout=RUN_MS)
        picture.scroll_into_view_if_needed()

        def changed(before: str) -> str:
            """Waits for another picture than `before`; returns its address."""
            locator = page.locator(f'img.threedpsp-view:not([src="{before}"])')
            locator.wait_for(timeout=60_000)
            return locator.get_attribute("src") or ""

        first = picture.get_attribute("src") or ""
        slider = page.locator(".widget-hslider", has_text="Yaw").locator(".noUi-handle").first
        slider.focus()
        for _ in range(12):
            page.keyboard.press("ArrowRight")
        second = changed(first)
        page.wait_for_timeout(3000)  # until the full picture has come
        second = picture.get_attribute("src") or second
        box = picture.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 150, box["y"] + 150)
        page.mouse.down()
        page.mouse.move(box["x"] + 80, box["y"] + 150, steps=6)
        page.mouse.up()
        assert changed(second) != first
        page.wait_for_timeout(3000)
        if folder := os.environ.get("THREEDPSP_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / "jupyterlab.png")
        assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
        browser.close()
