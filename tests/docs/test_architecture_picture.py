"""The diagram of docs/architecture.md is what the imports say."""

from __future__ import annotations

from tests.architecture.test_layers import FLOORS
from tests.docs.draw_architecture import NAMES, PUBLIC, READER, TARGET, edges, heights, reduced, svg


def test_the_picture_is_the_one_that_the_imports_make():
    assert TARGET.read_text(encoding="utf-8") == svg(), "run: python -m tests.docs.draw_architecture"


def test_every_floor_has_a_word():
    assert set(NAMES) == set(range(len(FLOORS) + 1))  # the last is the front door


def test_arrows_go_down_or_stay_on_their_floor():
    floor = heights()
    assert [(a, b) for a, others in edges().items() for b in others if floor[b] > floor[a]] == []


def test_known_imports_are_found():
    found = edges()
    assert "eg3d_kernels" in found["kernels"] and "camera" in found["types"]
    assert READER in found["weights"] and found["nodes"] == {PUBLIC}


def test_an_arrow_that_follows_from_others_is_left_out():
    graph = {"types": {"camera", "errors"}, "camera": {"errors"}}
    assert reduced(graph) == [("camera", "errors"), ("types", "camera")]
