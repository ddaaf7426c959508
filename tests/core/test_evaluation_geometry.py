"""Pose errors and depth agreement, on bodies whose depth is known."""

from __future__ import annotations

import math

import pytest
import torch

from tests.core.test_preprocessing_pose import mean_face_seen_by
from threedpsp.camera import Camera
from threedpsp.eg3d.rays import camera_rays
from threedpsp.evaluation.depth_agreement import depth_disagreement, project
from threedpsp.evaluation.pose_error import pose_error, rotation_degrees
from threedpsp.types import Render

SIDE = 64


def view(depth: torch.Tensor, hit: torch.Tensor) -> Render:
    """A render of which only depth and opacity matter."""
    image = torch.zeros(1, 3, SIDE, SIDE)
    return Render(image, image, depth.reshape(1, 1, SIDE, SIDE), hit.float().reshape(1, 1, SIDE, SIDE))


def sphere(camera: Camera, radius: float = 0.3, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Render:
    """What a camera sees of a ball."""
    rays = camera_rays(camera, SIDE)
    origins = rays.origins[0] - torch.tensor(centre)
    along = -(origins * rays.directions[0]).sum(1)
    inside = radius**2 - (origins.square().sum(1) - along**2)
    return view(torch.where(inside > 0, along - inside.clamp_min(0).sqrt(), torch.tensor(9.0)), inside > 0)


def test_angle_between_cameras_is_their_turn():
    assert rotation_degrees(Camera.orbit(0.0), Camera.orbit(0.0)) == pytest.approx(0, abs=1e-4)
    a, b = Camera.orbit(10.0), Camera.orbit(35.0)
    forward = [c.cam2world[0, :3, 2] for c in (a, b)]
    expected = math.degrees(math.acos(float(forward[0] @ forward[1])))
    assert rotation_degrees(a, b) == rotation_degrees(b, a) == pytest.approx(expected, abs=1e-3)
    small = rotation_degrees(Camera.orbit(0.0), Camera.orbit(0.01))
    assert 0.005 < small < 0.02  # acos of the trace alone would give 0 or noise


def test_pose_error_of_a_face_seen_from_its_camera_is_small():
    camera = Camera.orbit(15.0, 4.0)
    points = torch.from_numpy(mean_face_seen_by(camera)) * SIDE
    assert pose_error(points, SIDE, camera) < 1.5
    assert pose_error(points, SIDE, Camera.orbit(-15.0, 4.0)) > 20


def test_pose_error_without_a_face_is_no_number():
    assert math.isnan(pose_error(None, SIDE, Camera.orbit(0.0)))


def test_centre_of_the_picture_is_where_the_camera_looks():
    camera = Camera.orbit(30.0, 10.0)
    pivot = torch.tensor([[0.0, 0.0, 0.2], [0.0, 5.0, 0.2]])
    pixel, distance, inside = project(pivot, camera, 65)
    assert pixel[0] == 65 * 32 + 32 and inside.tolist() == [True, False]
    assert distance[0] == pytest.approx((camera.position[0] - pivot[0]).norm().item())


@pytest.mark.parametrize("yaw", [-30.0, -15.0, 15.0, 30.0])
def test_two_views_of_one_ball_agree(yaw: float):
    """Up to the pixels' size: a pixel is .009 world units wide there, of a distance of 2.5; a tenth of that remains."""
    own, other = Camera.orbit(5.0, 3.0), Camera.orbit(yaw)
    assert depth_disagreement(sphere(own), own, sphere(other), other) < 0.1


def test_views_of_different_surfaces_disagree():
    own, other = Camera.orbit(0.0), Camera.orbit(30.0)
    larger = depth_disagreement(sphere(own), own, sphere(other, radius=0.35), other)
    moved = depth_disagreement(sphere(own), own, sphere(other, centre=(0.0, 0.0, 0.1)), other)
    assert larger > 1 and moved > 1  # 0.05 and 0.09 of about 2.5 are 2 and 3.5 %


def test_depth_that_is_wrong_by_a_share_gives_that_share():
    camera = Camera.orbit(0.0)
    right = sphere(camera)
    wrong = view(right.image_depth * 1.01, right.opacity > 0)
    assert depth_disagreement(right, camera, wrong, camera) == pytest.approx(1.0, abs=1e-3)


def test_hidden_points_do_not_count():
    """A wall behind a ball: turned away, the ball hides a part of the wall that the first view has seen."""
    own, other = Camera.orbit(0.0), Camera.orbit(30.0)

    def scene(camera: Camera) -> Render:
        rays = camera_rays(camera, SIDE)
        wall = (-0.3 - rays.origins[0, :, 2]) / rays.directions[0, :, 2]
        ball = sphere(camera)
        depth = torch.minimum(ball.image_depth.flatten(), wall)
        return view(depth, torch.ones(SIDE * SIDE))

    assert depth_disagreement(scene(own), own, scene(other), other) < 0.1


def test_depth_agreement_needs_a_surface():
    camera = Camera.orbit(0.0)
    empty = view(torch.full((SIDE * SIDE,), 2.7), torch.zeros(SIDE * SIDE))
    assert math.isnan(depth_disagreement(empty, camera, sphere(camera), camera))
    assert math.isnan(depth_disagreement(sphere(camera), camera, empty, camera))
