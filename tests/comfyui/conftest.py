"""The real server, once for all tests that do not change it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from tests.comfyui.client import Client
from tests.comfyui.environment import Environment, environment
from tests.comfyui.server import Server


@pytest.fixture(scope="session")
def comfyui_environment() -> Environment:
    """ComfyUI and its packages, made if missing."""
    return environment()


@pytest.fixture(scope="session")
def server(comfyui_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running ComfyUI with only our pack."""
    with Server(comfyui_environment, tmp_path_factory.mktemp("comfyui")) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A page's connection to the server."""
    connection = server.client()
    yield connection
    connection.close()


@pytest.fixture
def without_face(server: Server) -> str:
    """A picture in the input folder, of the examples' size, that shows nobody: a slope of grey."""
    name = "nobody.png"
    grey = np.linspace(60, 200, 512, dtype=np.uint8)
    Image.fromarray(np.broadcast_to(grey[:, None, None], (512, 512, 3)).copy()).save(server.base / "input" / name)
    return name


_told: list[str] = []


@pytest.fixture
def tell() -> Callable[[str], None]:
    """Adds a line to what the summary shows, of passing tests too: figures that people want to see."""
    return _told.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows these lines."""
    if _told:
        terminalreporter.section("ComfyUI, as measured")
        for line in _told:
            terminalreporter.write_line(line)
