"""Every shipped workflow, run by a real ComfyUI."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.comfyui.client import Client
from tests.comfyui.expectations import EXPECTATIONS, Made
from tests.comfyui.server import Server
from tests.comfyui.workflows import SHIPPED

pytestmark = pytest.mark.comfyui


def test_there_is_an_expectation_for_every_shipped_workflow() -> None:
    assert SHIPPED
    assert {path.stem for path in SHIPPED} == set(EXPECTATIONS)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_workflow_makes_what_it_promises(
    path: Path, client: Client, server: Server, tell: Callable[[str], None]
) -> None:
    workflow = json.loads(path.read_text())
    client.free()  # as after opening ComfyUI: nothing is answered from the cache of another workflow
    run = client.succeed(workflow)
    assert set(run.executed) | run.cached == set(workflow)
    words = EXPECTATIONS[path.stem](Made(workflow, run, client, server))
    tell(f"{path.stem}: {run.seconds:.1f} s, {words}")
