"""ComfyUI's real page in a real Chromium: what a person clicks, and what they then see."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, Route, expect, sync_playwright

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WITHOUT_3D = ("--disable-gpu",)
WITH_3D = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""Computes 3-D previews on the CPU."""

OUR_NODE = "ThreeDpSpLoadModel"
READY = f'() => window.app?.graph && window.LiteGraph?.registered_node_types["{OUR_NODE}"]'
START_TIMEOUT_MS = 90_000


def chromium() -> str:
    """Debian's Chromium.

    Raises:
        RuntimeError: it is not installed.
    """
    found = shutil.which("chromium")
    if found is None:
        raise RuntimeError("Browser tests need Chromium: apt-get install chromium")
    return found


@contextmanager
def open_browser(*, show_3d: bool = False) -> Iterator[Browser]:
    """A Chromium of its own, with nothing remembered from earlier."""
    flags = [*FLAGS, *(WITH_3D if show_3d else WITHOUT_3D)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags)
        yield browser
        browser.close()


class ComfyPage:
    """The page of one server; `errors` collects what went wrong inside it."""

    def __init__(self, browser: Browser, url: str, *, width: int = 1600, height: int = 900) -> None:
        """Opens the page and waits until our nodes are known to it."""
        self.errors: list[str] = []
        self._context = browser.new_context(viewport={"width": width, "height": height})
        self._context.route("**/*", _only_this_machine)
        self.page: Page = self._context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url, timeout=START_TIMEOUT_MS)
        self.page.wait_for_function(READY, timeout=START_TIMEOUT_MS)
        self.page.wait_for_timeout(500)

    def close(self) -> None:
        """Closes the tab."""
        self._context.close()

    def load(self, workflow: Path) -> None:
        """Opens a workflow file, as through the menu, and waits until its nodes are there."""
        wanted = len(json.loads(workflow.read_text())["nodes"])
        self.page.set_input_files("#comfy-file-input", workflow)
        self.page.wait_for_function(
            "([wanted, name]) => app.graph.nodes.length === wanted && document.title.includes(name)",
            arg=[wanted, workflow.stem],
        )

    def graph_of_api(self, workflow: dict[str, Any], name: str) -> dict[str, Any]:
        """An API workflow as the page lays it out and saves it."""
        self.page.evaluate("([workflow, name]) => app.loadApiJson(workflow, name)", [workflow, name])
        self.page.wait_for_function("wanted => app.graph.nodes.length === wanted", arg=len(workflow))
        # as text: what the page leaves undefined would come back as null
        return json.loads(self.page.evaluate("() => JSON.stringify(app.graph.serialize())"))

    def missing_nodes(self) -> list[str]:
        """Types that the opened workflow has and this ComfyUI does not."""
        return self.page.evaluate(
            "() => app.graph.nodes.map(n => n.type).filter(t => !LiteGraph.registered_node_types[t]"
            " && !['Note', 'MarkdownNote', 'Reroute', 'PrimitiveNode'].includes(t))"
        )

    def press_run(self) -> None:
        """Clicks the button."""
        self.page.get_by_role("button", name="Run", exact=True).first.click()

    def wait_for_video(self, timeout_s: float = 120) -> Locator:
        """The preview's video element, once it has frames."""
        video = self.page.locator("video").first
        expect(video).to_be_attached(timeout=timeout_s * 1000)
        self.page.wait_for_function(
            "() => { const v = document.querySelector('video'); return v && v.readyState >= 2 && v.videoWidth > 0 }",
            timeout=timeout_s * 1000,
        )
        return video

    def screenshot(self, path: Path, **options: Any) -> Path:
        """Writes what the page shows; the file's ending says the format."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, **options)
        return path

    def fit_view(self) -> None:
        """Brings the whole graph into the window."""
        self.page.evaluate("() => { app.canvas.fitViewToSelectionAnimated?.(); app.canvas.draw(true, true) }")


def _only_this_machine(route: Route) -> None:
    if urlsplit(route.request.url).hostname in ("127.0.0.1", "localhost", None):
        route.continue_()
    else:
        route.abort()
