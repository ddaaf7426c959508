"""What installing our requirements does to a ComfyUI that somebody already has."""

from __future__ import annotations

import pytest
from packaging.version import Version

from tests.comfyui.environment import Environment, requirement_changes

pytestmark = pytest.mark.comfyui


def test_nothing_that_comfyui_has_is_removed_or_downgraded(comfyui_environment: Environment) -> None:
    before, after = comfyui_environment.packages("before"), comfyui_environment.packages("after")
    print("\n".join(requirement_changes(before, after)))
    assert [name for name in before if name not in after] == []
    assert {
        name: (version, after[name]) for name, version in before.items() if Version(after[name]) < Version(version)
    } == {}


def test_numpy_and_protobuf_stay_as_they_are(comfyui_environment: Environment) -> None:
    before, after = comfyui_environment.packages("before"), comfyui_environment.packages("after")
    assert after["numpy"] == before["numpy"]
    assert after.get("protobuf") == before.get("protobuf")


def test_one_by_one_and_all_at_once_install_the_same(comfyui_environment: Environment) -> None:
    assert comfyui_environment.packages("all at once") == comfyui_environment.packages("after")
