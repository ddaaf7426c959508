"""Cameras from 3-D viewers and from lines of text."""

from __future__ import annotations

import pytest

import threedpsp
from threedpsp.errors import InputError


def viewer(x: float, y: float, z: float, **more: object) -> dict[str, object]:
    return {"position": {"x": x, "y": y, "z": z}, "target": {"x": 0, "y": 0, "z": 0}, "zoom": 1, **more}


def test_a_viewer_in_front_is_our_frontal_camera_whatever_its_distance():
    for distance in (0.5, 40.0):
        camera = threedpsp.camera_from_viewer(viewer(0, 0, distance))
        assert camera.yaw_degrees.item() == pytest.approx(0, abs=1e-3)
        assert camera.position.norm().item() == pytest.approx(2.7, abs=1e-4)


def test_directions_and_zoom_are_kept():
    camera = threedpsp.camera_from_viewer(viewer(1, 1, 1, zoom=2))
    assert camera.yaw_degrees.item() == pytest.approx(45, abs=1e-3)
    assert camera.pitch_degrees.item() == pytest.approx(35.264, abs=1e-2)
    plain = threedpsp.camera_from_viewer(viewer(1, 1, 1))
    assert camera.intrinsics[0, 0, 0].item() == pytest.approx(2 * plain.intrinsics[0, 0, 0].item())


def test_the_target_counts():
    moved = {"position": {"x": 5, "y": 2, "z": 6}, "target": {"x": 5, "y": 2, "z": 1}}
    assert threedpsp.camera_from_viewer(moved).yaw_degrees.item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    "broken", [{}, viewer(0, 0, 0), viewer(float("nan"), 0, 1), viewer(0, 0, 1, zoom=-1), {"position": 3}]
)
def test_broken_viewer_cameras_are_refused(broken: dict[str, object]):
    with pytest.raises(InputError, match="viewer's camera"):
        threedpsp.camera_from_viewer(broken)


def test_keyframes_are_read_line_by_line():
    assert threedpsp.parse_keyframes("0, 0\n\n 25,-4.5 \n") == [(0.0, 0.0), (25.0, -4.5)]


@pytest.mark.parametrize(
    ("text", "message"), [("0, 0\n5", "Line 2"), ("a, b", "Line 1"), ("0, 95", "within 89"), ("\n", "no keyframes")]
)
def test_keyframes_that_cannot_be_read_are_named_by_line(text: str, message: str):
    with pytest.raises(InputError, match=message):
        threedpsp.parse_keyframes(text)
