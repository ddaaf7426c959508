"""Normals and depth pictures of a sphere whose depth can be worked out by hand."""

from __future__ import annotations

import pytest
import torch

from threedpsp.camera import Camera
from threedpsp.eg3d.normals import depth_normals, depth_picture
from threedpsp.eg3d.rays import camera_rays

SIDE = 128
RADIUS = 0.25


def sphere(camera: Camera) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Depth and opacity of a sphere about the pivot, and its normals in the world."""
    rays = camera_rays(camera, SIDE)
    centre = torch.tensor([0.0, 0.0, 0.2])
    towards = centre - rays.origins
    along = (towards * rays.directions).sum(-1)
    miss = towards.square().sum(-1) - along.square()
    hit = miss < RADIUS**2
    depth = along - (RADIUS**2 - miss).clamp_min(0).sqrt()
    world = (rays.origins + rays.directions * depth[..., None] - centre) / RADIUS
    shape = (len(camera), 1, SIDE, SIDE)
    return depth.reshape(shape), hit.float().reshape(shape), world.reshape(len(camera), SIDE, SIDE, 3)


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (25.0, -10.0)])
def test_normals_of_a_sphere(yaw: float, pitch: float):
    """Within 3 degrees away from the edge: smoothing the depth flattens the sphere a little (worst seen: 1.3)."""
    camera = Camera.orbit(yaw, pitch)
    depth, opacity, world = sphere(camera)
    normals = depth_normals(depth, camera, opacity)
    in_camera = (
        torch.einsum("ij,hwi->jhw", camera.cam2world[0, :3, :3], world[0]) * torch.tensor([1.0, -1, -1])[:, None, None]
    )
    inside = (in_camera[2] > 0.5) & (opacity[0, 0] > 0)
    angle = torch.rad2deg(torch.acos((normals[0] * in_camera).sum(0).clamp(-1, 1)))[inside]
    assert inside.sum() > 2000
    assert angle.max() < 3 and angle.mean() < 1
    assert not normals[0][:, opacity[0, 0] == 0].any()


def test_normals_point_right_up_and_to_the_viewer():
    camera = Camera.orbit(0.0)
    depth, opacity, _ = sphere(camera)
    normals = depth_normals(depth, camera, opacity)[0]
    middle = SIDE // 2
    assert normals[2, middle, middle] > 0.99
    assert normals[0, middle, middle + 24] > 0.3 and normals[0, middle, middle - 24] < -0.3
    assert normals[1, middle - 24, middle] > 0.3 and normals[1, middle + 24, middle] < -0.3


def test_depth_pictures_are_white_near_and_black_behind():
    depth, opacity, _ = sphere(Camera.orbit(0.0))
    picture = depth_picture(depth, opacity)[0, 0]
    middle = SIDE // 2
    assert picture[middle, middle] > 0.98
    assert picture[0, 0] == 0
    assert picture[middle, middle] > picture[middle, middle + 25] > picture[middle, middle + 45] > 0


def test_a_sequence_shares_one_scale():
    depth, opacity, _ = sphere(Camera.orbit(0.0))
    two = depth_picture(torch.cat([depth, depth + 0.1]), opacity.expand(2, -1, -1, -1))
    middle = SIDE // 2
    assert two[0, 0, middle, middle] > two[1, 0, middle, middle] + 0.1
    fixed = depth_picture(depth, opacity, near=2.0, far=3.0)
    torch.testing.assert_close(fixed[0, 0, middle, middle], 3 - depth[0, 0, middle, middle])


def test_nothing_to_see_gives_black():
    empty = torch.zeros(1, 1, 8, 8)
    assert not depth_picture(empty + 2.7, empty).any()
    assert not depth_normals(empty + 2.7, Camera.orbit(0.0), empty).any()
