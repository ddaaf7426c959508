"""Makes workflows/*.json, which people open, from workflows/api/*.json, by ComfyUI's own page; then their thumbnails.

python -m tests.comfyui.make_workflows [NAME ...] [--graphs-only]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.comfyui.browser import ComfyPage, open_browser
from tests.comfyui.environment import environment
from tests.comfyui.server import Server
from tests.comfyui.thumbnails import thumbnail
from tests.comfyui.workflow_layout import laid_out
from tests.comfyui.workflows import API_FOLDER, SHIPPED

FOLDER = API_FOLDER.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="without .json; all if left out")
    parser.add_argument("--graphs-only", action="store_true", help="leave the thumbnails as they are")
    chosen = parser.parse_args()
    paths = [path for path in SHIPPED if not chosen.names or path.stem in chosen.names]
    with Server(environment(), Path(tempfile.mkdtemp(prefix="comfyui-"))) as server:
        make_graphs(server, paths)
        if not chosen.graphs_only:
            make_thumbnails(server, paths)


def make_graphs(server: Server, paths: list[Path]) -> None:
    """Writes workflows/NAME.json for each workflows/api/NAME.json."""
    with open_browser() as browser:
        page = ComfyPage(browser, server.url)
        for path in paths:
            graph = laid_out(page.graph_of_api(json.loads(path.read_text()), path.stem), path.stem)
            _write(FOLDER / path.name, graph)


def make_thumbnails(server: Server, paths: list[Path]) -> None:
    """Runs each workflow and writes workflows/NAME.jpg from what it made."""
    client = server.client()
    for path in paths:
        workflow = json.loads(path.read_text())
        target = FOLDER / f"{path.stem}.jpg"
        client.free()  # so that every node shows its pictures in this run
        thumbnail(path.stem, workflow, client.succeed(workflow), client, server).save(target, quality=85, optimize=True)
        print(f"{target.relative_to(FOLDER.parent)}: {target.stat().st_size / 1000:.0f} kB")
    client.close()


def _write(path: Path, graph: dict[str, Any]) -> None:
    path.write_text(json.dumps(graph, indent=2, ensure_ascii=False) + "\n")
    print(path.relative_to(FOLDER.parent))


if __name__ == "__main__":
    main()
