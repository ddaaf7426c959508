"""ComfyUI's real page in a real Chromium: what a person clicks, and what they then see."""

from __future__ import annotations

import io
import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, FloatRect, Locator, Page, Route, expect, sync_playwright

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
WITH_3D = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-compositing")
"""Computes 3-D previews on the CPU."""

OUR_NODE = "ThreeDpSpLoadModel"
READY = f'() => window.app?.graph && window.LiteGraph?.registered_node_types["{OUR_NODE}"]'
LISTEN = """() => {
  window.testEnds = []
  for (const kind of ['execution_success', 'execution_error', 'execution_interrupted'])
    app.api.addEventListener(kind, () => window.testEnds.push(kind))
}"""
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
def open_browser(*, show_3d: bool = False, beside: Browser | None = None) -> Iterator[Browser]:
    """A Chromium of its own, with nothing remembered from earlier.

    Args:
        show_3d: with a 3-D viewer that works; slow, since the CPU draws everything then.
        beside: one that is open already: a thread can hold only one Playwright.
    """
    with ExitStack() as stack:
        kind = beside.browser_type if beside else stack.enter_context(sync_playwright()).chromium
        flags = [*FLAGS, *(WITH_3D if show_3d else WITHOUT_3D)]
        browser = kind.launch(executable_path=chromium(), args=flags)
        stack.callback(browser.close)
        yield browser


class ComfyPage:
    """The page of one server."""

    errors: list[str]
    """What went wrong inside the page, in code that nobody caught and in what mentions our pack."""

    def __init__(self, browser: Browser, url: str, *, width: int = 1600, height: int = 900) -> None:
        """Opens the page and waits until our nodes are known to it."""
        self.errors = []
        self._context = browser.new_context(viewport={"width": width, "height": height})
        self._context.route("**/*", _only_this_machine)
        self.page: Page = self._context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._note_complaint)
        self.page.goto(url, timeout=START_TIMEOUT_MS)
        self.page.wait_for_function(READY, timeout=START_TIMEOUT_MS)
        self.page.evaluate(LISTEN)
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
        self.page.wait_for_timeout(300)

    def new_graph(self) -> None:
        """An empty one."""
        self._command("Comfy.NewBlankWorkflow")
        self.page.wait_for_function("() => app.graph.nodes.length === 0")

    def clear_graph(self) -> None:
        """Takes all nodes away."""
        self.page.evaluate("() => app.graph.clear()")

    def graph_of_api(self, workflow: dict[str, Any], name: str) -> dict[str, Any]:
        """An API workflow as the page lays it out and saves it."""
        self.page.evaluate("([workflow, name]) => app.loadApiJson(workflow, name)", [workflow, name])
        self.page.wait_for_function("wanted => app.graph.nodes.length === wanted", arg=len(workflow))
        # as text: what the page leaves undefined would come back as null
        return json.loads(self.page.evaluate("() => JSON.stringify(app.graph.serialize())"))

    def prompt(self) -> dict[str, Any]:
        """What Run would send: the graph in API format."""
        return json.loads(self.page.evaluate("async () => JSON.stringify((await app.graphToPrompt()).output)"))

    def missing_nodes(self) -> list[str]:
        """Types that the opened workflow has and this ComfyUI does not."""
        return self.page.evaluate(
            "() => app.graph.nodes.map(n => n.type).filter(t => !LiteGraph.registered_node_types[t]"
            " && !['Note', 'MarkdownNote', 'Reroute', 'PrimitiveNode'].includes(t))"
        )

    def overlaps(self) -> list[str]:
        """Pairs of nodes that cover each other, with what they show."""
        boxes = self.page.evaluate(
            "() => app.graph.nodes.map(n => ({name: `${n.id} ${n.title}`, left: n.pos[0], top: n.pos[1] - 30,"
            " right: n.pos[0] + n.size[0], bottom: n.pos[1] + n.size[1]}))"
        )
        return [
            f"{a['name']} and {b['name']}"
            for a, b in itertools.combinations(boxes, 2)
            if a["left"] < b["right"] and b["left"] < a["right"] and a["top"] < b["bottom"] and b["top"] < a["bottom"]
        ]

    def set_widget(self, node_type: str, name: str, value: Any) -> None:
        """Changes a widget of the only node of a type."""
        self.page.evaluate(
            "([type, name, value]) => {"
            " const node = app.graph.nodes.find(n => n.type === type);"
            " const widget = node.widgets.find(w => w.name === name);"
            " widget.value = value; widget.callback?.(value, app.canvas, node); app.canvas.draw(true, true) }",
            [node_type, name, value],
        )

    def choose_photo(self, photo: Path) -> None:
        """Load Image's "choose file to upload"."""
        with self.page.expect_file_chooser() as chooser:
            self.page.evaluate(
                "() => app.graph.nodes.find(n => n.type === 'LoadImage').widgets.find(w => w.name === 'upload')"
                ".callback()"
            )
        chooser.value.set_files(photo)
        self.page.wait_for_function(
            "name => app.graph.nodes.find(n => n.type === 'LoadImage').widgets[0].value === name", arg=photo.name
        )

    def press_run(self) -> None:
        """Clicks the button."""
        self.page.evaluate("() => { window.testEnds = [] }")
        self.page.get_by_role("button", name="Run", exact=True).first.click()

    def wait_for_end(self, timeout_s: float = 120) -> str:
        """How the run ended: execution_success, execution_error or execution_interrupted."""
        self.page.wait_for_function("() => window.testEnds.length", timeout=timeout_s * 1000)
        self.page.wait_for_timeout(500)
        return self.page.evaluate("() => window.testEnds[0]")

    def nodes(self, node_type: str) -> list[int]:
        """Numbers of the graph's nodes of a type."""
        return self.page.evaluate("type => app.graph.nodes.filter(n => n.type === type).map(n => n.id)", node_type)

    def shown_text(self, node: int) -> str:
        """What "Preview as Text" shows."""
        return self.page.evaluate(
            "id => app.graph.getNodeById(id).widgets.map(w => w.value).filter(v => typeof v === 'string').join(' ')",
            node,
        )

    def shown_pictures(self, node: int) -> list[list[int]]:
        """Width and height of each picture that a node draws on itself."""
        self.show_node(node)
        return self.page.evaluate(
            "id => (app.graph.getNodeById(id).imgs ?? []).map(i => [i.naturalWidth, i.naturalHeight])", node
        )

    def playing_video(self, timeout_s: float = 30) -> Locator:
        """The preview's video element, once it plays.

        Raises:
            AssertionError: there is none, or it stands still.
        """
        video = self.page.locator("video").first
        expect(video).to_be_attached(timeout=timeout_s * 1000)
        video.evaluate("v => { v.muted = true; v.loop = true; return v.play() }")
        self.page.wait_for_function(
            "() => { const v = document.querySelector('video');"
            " return v.readyState >= 2 && v.videoWidth > 0 && v.currentTime > 0 }",
            timeout=timeout_s * 1000,
        )
        return video

    def viewer(self) -> Image.Image:
        """What the 3-D viewer of the graph shows, at its full size."""
        node = self.page.evaluate("() => app.graph.nodes.find(n => n.type === 'Preview3D').id")
        self.show_node(node, scale=1.0)
        canvas = self.page.locator("canvas:not(#graph-canvas):not(.minimap-canvas)").last
        self.page.wait_for_timeout(3000)  # the model is fetched and drawn
        return Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")

    def show_node(self, node: int, scale: float = 0.8) -> None:
        """Brings a node to the window's middle."""
        self.page.evaluate(
            "([id, scale]) => { app.canvas.ds.scale = scale; app.canvas.centerOnNode(app.graph.getNodeById(id));"
            " app.canvas.draw(true, true) }",
            [node, scale],
        )
        self.page.wait_for_timeout(500)

    def add_node(self, node_type: str) -> int:
        """Puts a node into the graph, as from the library; its number."""
        return self.page.evaluate(
            "type => { const node = LiteGraph.createNode(type); node.pos = [200, 200]; app.graph.add(node);"
            " app.canvas.draw(true, true); return node.id }",
            node_type,
        )

    def open_help(self, node: int) -> Locator:
        """Clicks a node and then the "Node Info" button above it.

        Returns:
            The help page beside the graph.
        """
        self.show_node(node)
        self._click_title(node)
        self.page.get_by_test_id("info-button").click()
        content = self.page.locator(".node-help-content")
        expect(content).to_be_visible()
        return content

    def search_nodes(self, words: str) -> list[str]:
        """Double-clicks the empty graph and types; the first lines of what is offered."""
        self.page.mouse.dblclick(800, 600)
        self.page.wait_for_timeout(700)
        self.page.keyboard.type(words, delay=30)
        self.page.wait_for_timeout(1500)
        offered = self.page.get_by_role("option").all_inner_texts()
        self.page.keyboard.press("Escape")
        return [text.strip().splitlines()[0].strip() for text in offered if text.strip()]

    def open_templates(self, pack: str) -> Locator:
        """The template browser, at the page of a pack."""
        self.page.get_by_text("Templates", exact=True).first.click()
        dialog = self.page.get_by_role("dialog").last
        dialog.get_by_text(pack, exact=True).first.click()
        self.page.wait_for_timeout(1500)
        return dialog

    def error_text(self) -> str:
        """All that the page says after a run failed, with the details."""
        details = self.page.get_by_role("button", name="View details")
        if details.count():
            details.first.click()
            self.page.wait_for_timeout(1000)
        return self.page.locator("body").inner_text()

    def use_nodes_2(self, wanted: bool) -> None:
        """Switches between the classic design of nodes and ComfyUI's Nodes 2.0."""
        self.page.evaluate("on => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)", wanted)
        self.page.wait_for_timeout(1000)

    def tidy(self) -> None:
        """Away with what would stand before the graph in a picture: minimap, announcements, figures of speed.

        Texts are drawn however small, and the graph ten times a second: it shares its cores with the server.
        """
        self.page.evaluate(
            "async () => { const set = app.extensionManager.setting.set;"
            " await set('Comfy.Minimap.Visible', false); await set('Comfy.Graph.CanvasInfo', false);"
            " await set('LiteGraph.Canvas.MinFontSizeForLOD', 0);"
            " await set('LiteGraph.Canvas.MaximumFps', 10) }"
        )
        announcement = self.page.get_by_text("Introducing Nodes 2.0")
        if announcement.count():
            announcement.locator("xpath=ancestor::*[count(.//button) = 2][1]").get_by_role("button").last.click()
        self.page.wait_for_timeout(300)

    def fit_view(self) -> None:
        """Brings the whole graph into the window."""
        self.page.evaluate("() => app.canvas.deselectAll()")
        self._command("Comfy.Canvas.FitView")
        self.page.wait_for_timeout(1000)

    def screenshot(self, path: Path, **options: Any) -> Path:
        """Writes what the page shows; the file's ending says the format."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jpg":
            options.setdefault("quality", 85)
        self.page.screenshot(path=path, **options)
        return path

    def node_box(self, node: int) -> FloatRect:
        """Where a node stands in the window, title included."""
        return self.page.evaluate(
            "id => { const n = app.graph.getNodeById(id), ds = app.canvas.ds, frame = app.canvas.canvas"
            ".getBoundingClientRect(); return { x: frame.x + (n.pos[0] + ds.offset[0]) * ds.scale,"
            " y: frame.y + (n.pos[1] - 30 + ds.offset[1]) * ds.scale,"
            " width: n.size[0] * ds.scale, height: (n.size[1] + 30) * ds.scale } }",
            node,
        )

    def _click_title(self, node: int) -> None:
        box = self.node_box(node)
        self.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 12)

    def _command(self, name: str) -> None:
        self.page.evaluate("name => app.extensionManager.command.execute(name)", name)

    def _note_complaint(self, message: ConsoleMessage) -> None:
        text = f"{message.text} {message.location.get('url', '')}"
        asked_first = text.endswith("/en.md")  # of a help page in English, before the one without a language
        if message.type == "error" and "threedpsp" in text.lower() and "api.comfy.org" not in text and not asked_first:
            self.errors.append(text)


def _only_this_machine(route: Route) -> None:
    if urlsplit(route.request.url).hostname in ("127.0.0.1", "localhost", None):
        route.continue_()
    else:
        route.abort()
