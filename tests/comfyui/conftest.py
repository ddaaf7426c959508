"""The real server, once for all tests that do not change it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
