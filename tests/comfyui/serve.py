"""Starts the test server by hand: python -m tests.comfyui.serve --port 8188 (Ctrl+C ends it)."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.comfyui.environment import FRONTENDS, OLD_FRONTEND, environment
from tests.comfyui.server import Server


def main() -> None:
    """Runs until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8188)
    parser.add_argument("--frontend", choices=FRONTENDS, default=OLD_FRONTEND, help="version of the page")
    parser.add_argument("--base", type=Path, help="folder for models, inputs, outputs; a new temporary one if left out")
    parser.add_argument("--without", default="", help="modules, parted by commas, that are not to be had")
    chosen = parser.parse_args()
    base = chosen.base or Path(tempfile.mkdtemp(prefix="comfyui-"))
    without = tuple(filter(None, chosen.without.split(",")))
    server = Server(environment(), base, frontend=chosen.frontend, port=chosen.port, without=without)
    with server:
        print(f"{server.url}  files in {base}  log {base}/server.log")
        try:
            while True:
                time.sleep(60)
        except KeyboardInterrupt:
            print("ended")


if __name__ == "__main__":
    main()
