"""The pack among stand-ins for ComfyUI, loaded once for these tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.nodes.comfy_stand_in.install import loaded_pack, schemas_of


@pytest.fixture(scope="package")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Schemas of all nodes by id, in a ComfyUI that has every optional part."""
    with loaded_pack(tmp_path_factory.mktemp("comfyui")) as pack:
        yield schemas_of(pack)
