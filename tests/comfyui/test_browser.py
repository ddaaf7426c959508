"""The pack as people meet it: the page in Chromium, in the version that ComfyUI 0.3.75 comes with and in a newer one.

THREEDPSP_TEST_SCREENSHOTS names a folder for the pictures that the README shows; workflows then run in full.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.comfyui.browser import ComfyPage, open_browser
from tests.comfyui.environment import FRONTENDS, OLD_FRONTEND, REPOSITORY, Environment
from tests.comfyui.pack import PACK
from tests.comfyui.server import Server
from tests.comfyui.workflows import SHIPPED

pytestmark = pytest.mark.browser

SCREENSHOTS = os.environ.get("THREEDPSP_TEST_SCREENSHOTS")
FOLDER = REPOSITORY / "workflows"
HELP = sorted((REPOSITORY / "web" / "docs").glob("ThreeDpSp*.md"))
RUN_S = 300
REFINE_SECONDS = 2  # instead of 20: here it matters what the page shows, not how good it is
PAGE_ONLY = {"Preview3D": ("image",), "PreviewAny": ("preview", "previewMode")}
IN_VIEWER = {"photo_to_mesh"}  # needs 3-D, which costs two cores much of their time


@dataclass(frozen=True)
class Site:
    """A server, with one version of the page."""

    server: Server
    frontend: str

    def forget_results(self) -> None:
        """Every node runs anew and shows its pictures, also what another workflow has made already."""
        client = self.server.client()
        client.free()
        client.close()

    def picture(self, page: ComfyPage, name: str, node: int | None = None) -> None:
        """Writes a screenshot for the README, where somebody wants it: of the page, or of a node alone."""
        if not SCREENSHOTS:
            return
        only: dict[str, Any] = {}
        if node is not None:
            page.show_node(node)
            only["clip"] = page.node_box(node)
        page.screenshot(Path(SCREENSHOTS) / self.frontend / f"{name}.jpg", **only)


@pytest.fixture(scope="module", params=FRONTENDS)
def site(
    request: pytest.FixtureRequest, comfyui_environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A server of its own for each version: what one test made, the next finds in the cache."""
    base = tmp_path_factory.mktemp("page")
    with Server(comfyui_environment, base, frontend=request.param) as running:
        yield Site(running, request.param)


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Browser]:
    """A Chromium for all tests of one version."""
    with open_browser() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[ComfyPage]:
    """A fresh tab, which must end without complaints."""
    opened = ComfyPage(browser, site.server.url)
    opened.tidy()
    yield opened
    errors = opened.errors
    opened.close()
    assert errors == []


@pytest.mark.parametrize("name", [path.stem for path in SHIPPED if path.stem not in IN_VIEWER])
def test_workflow_opens_runs_and_shows_its_result(
    name: str, page: ComfyPage, site: Site, tell: Callable[[str], None]
) -> None:
    _open_as_shipped(page, name)
    if SCREENSHOTS:
        site.forget_results()
    elif page.nodes("ThreeDpSpRefine"):
        page.set_widget("ThreeDpSpRefine", "seconds", REFINE_SECONDS)
    started = time.monotonic()
    page.press_run()
    assert page.wait_for_end(RUN_S) == "execution_success"
    shown = [*_videos(page, site), *_pictures(page), *_texts(page)]
    assert shown
    tell(f"page {site.frontend}: {name}: {time.monotonic() - started:.1f} s until seen: {', '.join(shown)}")
    assert page.overlaps() == []
    for node in page.nodes("SaveVideo"):
        site.picture(page, f"{name}_result", node)
    page.fit_view()
    site.picture(page, name)


def test_mesh_stands_in_the_viewer(browser: Browser, site: Site, tell: Callable[[str], None]) -> None:
    with open_browser(show_3d=True, beside=browser) as drawing:
        page = ComfyPage(drawing, site.server.url)
        page.tidy()
        _open_as_shipped(page, "photo_to_mesh")
        started = time.monotonic()
        page.press_run()
        assert page.wait_for_end(RUN_S) == "execution_success"
        head = _skin(page.viewer())
        tell(f"page {site.frontend}: photo_to_mesh: {time.monotonic() - started:.1f} s until seen: surface {head:.0%}")
        assert head > 0.03
        assert page.overlaps() == []
        site.picture(page, "photo_to_mesh")
        assert page.errors == []


def test_workflow_fits_nodes_2_too(page: ComfyPage, site: Site) -> None:
    page.use_nodes_2(True)
    _open_as_shipped(page, "photo_to_turntable")
    page.press_run()
    assert page.wait_for_end(RUN_S) == "execution_success"
    page.playing_video()
    assert page.overlaps() == []
    page.fit_view()
    site.picture(page, "photo_to_turntable_nodes_2")
    page.use_nodes_2(False)


def test_every_node_has_a_help_page(page: ComfyPage, site: Site) -> None:
    assert HELP
    page.new_graph()
    for path in HELP:
        page.clear_graph()
        help_page = page.open_help(page.add_node(path.stem))
        heading = path.read_text().splitlines()[0].lstrip("# ").strip()
        expect(help_page.get_by_role("heading", name=heading, exact=True).first).to_be_visible()
        pictures = help_page.locator("img")
        for index in range(pictures.count()):
            expect(pictures.nth(index)).to_have_js_property("complete", True)
            assert pictures.nth(index).evaluate("i => i.naturalWidth") > 0, f"{path.stem}: picture {index}"
        assert pictures.count() == path.read_text().count("![")
    page.load(FOLDER / "photo_to_turntable.json")
    page.open_help(page.nodes("ThreeDpSpEncode")[0])
    site.picture(page, "help")


def test_template_browser_lists_our_workflows_with_thumbnails(page: ComfyPage, site: Site) -> None:
    dialog = page.open_templates(PACK)
    for path in SHIPPED:
        expect(dialog.get_by_text(path.stem, exact=True).first).to_be_visible()
    widths = dialog.locator("img").evaluate_all("all => all.map(i => i.naturalWidth)")
    assert widths.count(512) == len(SHIPPED)
    site.picture(page, "templates")


def test_opening_a_template_gives_its_graph(page: ComfyPage) -> None:
    page.open_templates(PACK).get_by_text("photo_to_turntable", exact=True).first.click()
    page.page.wait_for_function("() => app.graph.nodes.some(n => n.type === 'ThreeDpSpEncode')")
    assert page.missing_nodes() == []


def test_search_finds_our_nodes(page: ComfyPage) -> None:
    page.new_graph()
    offered = page.search_nodes("3DpSp")
    for words in ("3DpSp Align", "3DpSp Encode", "3DpSp Render Views", "3DpSp Load Model"):
        assert words in offered


def test_photo_without_a_face_gives_our_words(page: ComfyPage, site: Site, tmp_path: Path) -> None:
    sky = tmp_path / "sky.png"
    Image.new("RGB", (400, 300), (90, 140, 200)).save(sky)
    page.load(FOLDER / "photo_to_turntable.json")
    page.choose_photo(sky)
    page.press_run()
    assert page.wait_for_end(RUN_S) == "execution_error"
    text = page.error_text()
    assert "No face found in the photo. Use a photo with an unobstructed face" in text
    site.picture(page, "no_face")


def _open_as_shipped(page: ComfyPage, name: str) -> None:
    """Opens a workflow; what Run would send is what the API copy says."""
    page.load(FOLDER / f"{name}.json")
    assert page.missing_nodes() == []
    assert page.overlaps() == []
    sent = page.prompt()
    shipped = json.loads((FOLDER / "api" / f"{name}.json").read_text())
    assert {number: _without_own_picture(node) for number, node in sent.items()} == {
        number: _without_own_picture(node) for number, node in shipped.items()
    }


def _without_own_picture(node: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Class and inputs; without widgets in which the page keeps what a node shows."""
    own = PAGE_ONLY.get(node["class_type"], ())
    return node["class_type"], {name: value for name, value in node["inputs"].items() if name not in own}


def _videos(page: ComfyPage, site: Site) -> list[str]:
    """Each video of the graph, which must play."""
    if not page.nodes("SaveVideo"):
        return []
    source, width = page.playing_video().evaluate("v => [v.src, v.videoWidth]")
    assert source.startswith(site.server.url) and ".mp4" in source
    return [f"video {width} px wide"]


def _pictures(page: ComfyPage) -> list[str]:
    """Pictures of the nodes that end a graph in pictures."""
    shown = []
    for node_type in ("SaveImage", "PreviewImage", "ThreeDpSpEvaluate"):
        for node in page.nodes(node_type):
            sizes = page.shown_pictures(node)
            assert sizes and all(width > 0 for width, _ in sizes), f"{node_type} {node} shows nothing"
            shown.append(f"{len(sizes)} picture(s) {sizes[0][0]}x{sizes[0][1]}")
    return shown


def _texts(page: ComfyPage) -> list[str]:
    """Texts of the nodes that show some."""
    texts = [page.shown_text(node) for node in page.nodes("PreviewAny")]
    assert all(len(text) > 40 for text in texts)
    return [f"text of {len(text)} letters" for text in texts]


def _skin(picture: Image.Image) -> float:
    """The share of a picture that is warm: neither the viewer's grey nor its grid."""
    pixels = np.asarray(picture, dtype=np.int16)
    return float((pixels[..., 0] > pixels[..., 2] + 15).mean())


def test_old_page_is_the_one_comfyui_asks_for(comfyui_environment: Environment) -> None:
    assert comfyui_environment.packages("before")["comfyui-frontend-package"] == OLD_FRONTEND
