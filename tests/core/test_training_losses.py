"""What the training says about shape: where nothing may be, and no steps in depth."""

from __future__ import annotations

import torch

from tests.core.generated_portraits import generated_portraits
from threedpsp.camera import Camera
from threedpsp.eg3d.rays import camera_rays
from threedpsp.preprocessing.landmark_model import mirror_index
from threedpsp.training.batches import IMAGE_SIDE, PortraitBatch, PortraitBatches, eye_strip
from threedpsp.training.losses import floater_loss, impossible, smooth_loss


def one_portrait() -> PortraitBatch:
    """A generated face, from the front."""
    return PortraitBatches(generated_portraits(3), torch.from_numpy(mirror_index()), seed=0).make(torch.tensor([1]))


def test_the_face_itself_is_possible_and_what_the_photo_excludes_is_not() -> None:
    batch = one_portrait()
    assert not impossible(batch.mesh, batch.mask, batch.camera).float().mean() > 0.02
    places = {
        "behind the head": (0.0, 0.0, -0.4),
        "before the nose": (0.0, 0.0, 0.4),
        "in the photo's background": (-0.26, 0.25, 0.0),
        "beside the frame": (0.42, 0.1, 0.0),
    }
    points = torch.tensor(list(places.values()))[None]
    assert impossible(points, batch.mask, batch.camera)[0].tolist() == [True] * len(places)
    assert not impossible(torch.tensor([[[0.42, -0.3, 0.0]]]), batch.mask, batch.camera).any(), "shoulders go on"


def test_a_floater_behind_the_head_costs_only_where_it_is_seen() -> None:
    batch, side = one_portrait(), 32
    camera = Camera.orbit(30.0, 0.0)
    rays = camera_rays(camera, side)
    nothing = torch.zeros(1, 1, side, side)
    depth = (0.15 - rays.origins[..., 2]) / rays.directions[..., 2]  # on a plane through the face
    assert floater_loss(nothing, depth.view(1, 1, side, side), camera, batch) == 0
    floater = nothing.clone().requires_grad_()
    far = torch.full((1, 1, side, side), 3.2)
    floater_loss(floater + 0.5, far, camera, batch).backward()
    assert floater.grad is not None and (floater.grad > 0).float().mean() > 0.9


def test_a_step_in_depth_beside_the_mesh_costs_and_a_slope_does_not() -> None:
    batch = one_portrait()
    slope = torch.linspace(2.5, 2.7, IMAGE_SIDE).expand(1, 1, IMAGE_SIDE, IMAGE_SIDE)
    step = slope.clone()
    step[:, :, : IMAGE_SIDE // 4] += 0.05  # through the hair
    assert smooth_loss(slope, batch, IMAGE_SIDE) < 1e-6
    assert smooth_loss(step, batch, IMAGE_SIDE) > 1e-5


def test_the_eye_strip_shows_the_eyes_wherever_the_window_lies() -> None:
    batch = one_portrait()
    whole = eye_strip(batch.image, batch.landmarks)
    assert whole.shape == (1, 3, 64, 192)
    part = eye_strip(batch.image[:, :, 20:100, 10:118], batch.landmarks, (20, 10))
    assert (whole - part).abs().max() < 1e-4
    iris = batch.landmarks[0, [33, 133]].mean(0).round().int()
    strip_column = int((0.5 - 0.5 / 0.9 * 0.5) * 192)
    assert (whole[0, :, 32, strip_column] - batch.image[0, :, iris[1], iris[0]]).abs().max() < 0.2
