"""Makes the pictures of help pages whose node makes no picture itself: the node as the page draws it.

python -m tests.comfyui.make_node_pictures
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.comfyui.browser import ComfyPage, open_browser
from tests.comfyui.environment import NEW_FRONTEND, REPOSITORY, environment
from tests.comfyui.server import Server

FOLDER = REPOSITORY / "web" / "docs" / "images"
ALONE = ("ThreeDpSpLoadModel", "ThreeDpSpSaveLatent", "ThreeDpSpLoadLatent")
MARGIN = 16
SCALE = 1.4


def main() -> None:
    base = Path(tempfile.mkdtemp(prefix="comfyui-"))
    latents = base / "output" / "latents"
    latents.mkdir(parents=True)
    (latents / "head_00001_.safetensors").touch()  # Load Latent lists it
    with Server(environment(), base, frontend=NEW_FRONTEND) as server, open_browser() as browser:
        page = ComfyPage(browser, server.url)
        page.tidy()
        for node_type in ALONE:
            page.new_graph()
            node = page.add_node(node_type)
            page.show_node(node, SCALE)
            _save(page, node_type, [node])
        _save_check_setup(page, {str(base): "ComfyUI", str(environment().folder): "ComfyUI", str(Path.home()): "~"})


def _save_check_setup(page: ComfyPage, folders: dict[str, str]) -> None:
    """With its report, which "Preview as Text" shows; this machine's folders by the names that people know."""
    page.new_graph()
    check = page.add_node("ThreeDpSpCheckSetup")
    text = page.add_node("PreviewAny")
    page.page.evaluate(
        "([from, to]) => { const a = app.graph.getNodeById(from), b = app.graph.getNodeById(to);"
        " a.size = [240, a.size[1]]; b.pos = [a.pos[0] + a.size[0] + 60, a.pos[1]]; b.size = [620, 400];"
        " a.connect(0, b, 0) }",
        [check, text],
    )
    page.press_run()
    page.wait_for_end(300)
    page.page.evaluate(
        "([id, folders]) => { for (const widget of app.graph.getNodeById(id).widgets)"
        " if (typeof widget.value === 'string') for (const [path, name] of Object.entries(folders))"
        " widget.value = widget.value.replaceAll(path, name) }",
        [text, folders],
    )
    page.show_node(text, 1.0)
    _save(page, "ThreeDpSpCheckSetup", [check, text])


def _save(page: ComfyPage, name: str, nodes: list[int]) -> None:
    """Writes the part of the window in which the nodes stand."""
    boxes = [page.node_box(node) for node in nodes]
    left = min(box["x"] for box in boxes) - MARGIN
    top = min(box["y"] for box in boxes) - 2 * MARGIN  # with the badge above
    right = max(box["x"] + box["width"] for box in boxes) + MARGIN
    bottom = max(box["y"] + box["height"] for box in boxes) + MARGIN
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    path = page.screenshot(FOLDER / f"{name}.jpg", clip=clip)
    print(f"{path.relative_to(REPOSITORY)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
