"""Camera paths: where they begin, how far they go, what they keep."""

from __future__ import annotations

import pytest
import torch

from threedpsp.camera import RADIUS, Camera
from threedpsp.errors import InputError
from threedpsp.paths import camera_path, dolly, ellipse, keyframes, orbit, swing, views


def leaning_camera() -> Camera:
    """A photo's camera as pose estimation makes them: turned, not quite looking at the pivot, rolled a little."""
    camera = Camera.orbit(9.0, -6.0)
    angle = torch.tensor(0.05)
    roll = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0.01], [0, -0.01, 1]])
    cam2world = camera.cam2world.clone()
    cam2world[0, :3, :3] = torch.linalg.qr(camera.cam2world[0, :3, :3] @ roll)[0]
    cam2world[0, :3, :3] *= torch.sign((cam2world[0, :3, :3] * camera.cam2world[0, :3, :3]).sum(0))
    return Camera(cam2world, camera.intrinsics)


@pytest.mark.parametrize("name", ["swing", "orbit"])
def test_first_frame_is_the_photos_camera(name: str):
    start = leaning_camera()
    torch.testing.assert_close(camera_path(name, 48, start)[0].label, start.label, rtol=0, atol=2e-6)


def test_swing_reaches_both_sides_and_stays_inside():
    yaw = swing(48, leaning_camera(), yaw_degrees=30).yaw_degrees
    assert yaw.max() <= 30.001 and yaw.max() > 29.8
    assert yaw.min() >= -30.001 and yaw.min() < -29.8


def test_swing_is_a_smooth_loop():
    yaw = swing(48, leaning_camera(), yaw_degrees=30).yaw_degrees
    steps = torch.diff(torch.cat([yaw, yaw[:1]])).abs()
    assert steps.max() < 30 * 2 * torch.pi / 48 * 1.01


def test_swing_reaches_a_photo_that_is_turned_farther():
    start = Camera.orbit(41.0, 3.0)
    yaw = swing(48, start, yaw_degrees=30).yaw_degrees
    assert yaw[0].item() == pytest.approx(41, abs=1e-3)
    assert yaw.max() < 41.01


def test_pitch_and_distance_stay_in_a_swing():
    cameras = swing(48, leaning_camera())
    assert (cameras.pitch_degrees + 6).abs().max() < 1e-3
    assert (cameras.position.norm(dim=1) - RADIUS).abs().max() < 1e-5


def test_orbit_goes_all_the_way_round():
    yaw = orbit(36, Camera.orbit(0.0)).yaw_degrees
    assert sorted(round(v) % 360 for v in yaw.tolist()) == list(range(0, 360, 10))


def test_ellipse_circles_about_the_front():
    cameras = ellipse(48, leaning_camera(), yaw_degrees=20, pitch_degrees=10)
    assert cameras.yaw_degrees.max().item() == pytest.approx(20, abs=0.1)
    assert cameras.pitch_degrees.max().item() == pytest.approx(10, abs=0.1)
    assert (cameras.yaw_degrees.square() / 400 + cameras.pitch_degrees.square() / 100).max() < 1.01


def test_dolly_keeps_the_size_of_what_is_at_the_origin():
    cameras = dolly(24, Camera.orbit(0.0))
    size = cameras.intrinsics[:, 0, 0] / cameras.position.norm(dim=1)
    assert (size / size[0] - 1).abs().max() < 1e-5
    assert cameras.position.norm(dim=1)[0] > RADIUS > cameras.position.norm(dim=1)[-1]


def test_keyframes_pass_through_their_points():
    cameras = keyframes([(0.0, 0.0), (20.0, 5.0), (-10.0, 0.0)], 21)
    assert cameras.yaw_degrees[[0, 10, 20]].tolist() == pytest.approx([0, 20, -10], abs=1e-3)
    assert cameras.pitch_degrees[10].item() == pytest.approx(5, abs=1e-3)


def test_one_keyframe_is_a_still():
    assert keyframes([(12.0, 3.0)], 3).yaw_degrees.tolist() == pytest.approx([12, 12, 12], abs=1e-3)


def test_views_keep_the_photos_pitch():
    cameras = views([-20, 0, 20], leaning_camera())
    assert cameras.yaw_degrees.tolist() == pytest.approx([-20, 0, 20], abs=1e-3)
    assert (cameras.pitch_degrees + 6).abs().max() < 1e-3


@pytest.mark.parametrize(("name", "frames"), [("swing", 0), ("spiral", 4)])
def test_bad_requests_are_refused(name: str, frames: int):
    with pytest.raises((InputError, TypeError)):
        camera_path(name, frames)


def test_angles_out_of_range_are_refused():
    with pytest.raises(InputError, match="between 0 and 89"):
        swing(8, yaw_degrees=120)


@pytest.mark.parametrize("name", ["swing", "orbit", "ellipse", "dolly"])
def test_one_frame_works(name: str):
    assert len(camera_path(name, 1)) == 1
