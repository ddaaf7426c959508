"""Cameras: from Deep3DFaceRecon's coefficients against recorded ones, and from points seen by a known camera."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.golden import load_golden
from threedpsp.camera import FOCAL, Camera
from threedpsp.errors import InputError
from threedpsp.preprocessing import camera_from_deep3d, estimate_camera
from threedpsp.preprocessing.landmark_model import mirror_index
from threedpsp.preprocessing.pose import PoseConvention, canonical_in_world
from threedpsp.preprocessing.pose_model import PoseModel, fit_pose, load_pose_model, project, rotation_matrix


def angle_between(a: Camera, b: Camera) -> torch.Tensor:
    """Rotation angles in degrees."""
    trace = torch.einsum("nij,nij->n", a.cam2world[:, :3, :3].double(), b.cam2world[:, :3, :3].double())
    return torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))


def seen_by(camera: Camera, world: np.ndarray) -> np.ndarray:
    """[N,P,2] of world points [P,3], as fractions of the image's side."""
    world_to_camera = torch.linalg.inv(camera.cam2world.double()).numpy()
    return np.stack([project(world, m[:3, :3], m[:3, 3]) for m in world_to_camera])


def mean_face_seen_by(camera: Camera, shape: np.ndarray | None = None) -> np.ndarray:
    """[N,478,2]: the pose model's points where the camera sees them, the others in the middle."""
    model = load_pose_model()
    points = np.full((len(camera), 478, 2), 0.5)
    world = model.mean if shape is None else model.mean + np.tensordot(shape, model.modes, 1)
    points[:, model.points] = seen_by(camera, world)
    return points


@pytest.mark.parametrize(
    ("convention", "recorded"),
    [
        ("raw", "pose_from_coefficients"),
        ("orig", "pose_orig"),
        ("cor", "pose_cor"),
        ("simplify", "pose_simplify"),
    ],
)
def test_deep3d_coefficients_give_the_recorded_poses(convention: PoseConvention, recorded: str) -> None:
    golden, _ = load_golden("camera_math")
    camera = camera_from_deep3d(golden["angle"], golden["trans"], convention)
    # our labels are float32: 2.7 has 2e-7 of rounding
    torch.testing.assert_close(camera.cam2world.double(), golden[recorded].double(), atol=1e-6, rtol=0)
    assert camera.intrinsics[0].tolist() == [[pytest.approx(FOCAL), 0, 0.5], [0, pytest.approx(FOCAL), 0.5], [0, 0, 1]]


def test_unknown_convention_is_refused() -> None:
    unchecked = getattr(camera_from_deep3d, "__wrapped__", camera_from_deep3d)  # the tests' type checker comes first
    with pytest.raises(InputError, match="convention"):
        unchecked(torch.zeros(1, 3), torch.zeros(1, 3), "other")


def test_camera_is_recovered_from_exact_points() -> None:
    camera = Camera.orbit(torch.tensor([0.0, 30.0, -50.0, 10.0]), torch.tensor([0.0, 10.0, -20.0, 25.0]))
    estimated = estimate_camera(mean_face_seen_by(camera))
    # what the mean face cannot tell from a mode is shared with the prior: none, because the shape is the mean
    assert angle_between(camera, estimated).max() < 0.05
    torch.testing.assert_close(estimated.position.norm(dim=1), torch.full((4,), 2.7))


def test_camera_is_recovered_for_other_shapes_and_noisy_points() -> None:
    random = np.random.default_rng(0)
    model = load_pose_model()
    yaw, pitch = torch.tensor(random.uniform(-40, 40, 24)), torch.tensor(random.uniform(-20, 20, 24))
    cameras = Camera.orbit(yaw.float(), pitch.float())
    points = np.concatenate(
        [mean_face_seen_by(cameras[i], random.normal(size=len(model.modes))) for i in range(len(cameras))]
    )
    points += random.normal(size=points.shape) * 0.003
    # a face that is tilted by nature and an average one seen from another side look alike: 2.6 degrees of it remain
    assert angle_between(cameras, estimate_camera(points)).mean() < 3.0


def test_points_in_the_wrong_place_do_not_drag_the_camera() -> None:
    camera = Camera.orbit(20.0, 5.0)
    points = mean_face_seen_by(camera)
    covered = load_pose_model().points[::8]  # an eighth of the points, as behind hair or a hand
    points[:, covered] += 0.1
    assert angle_between(camera, estimate_camera(points)).max() < 1.5


def test_mouth_cheeks_lids_and_brows_do_not_count() -> None:
    camera = Camera.orbit(-15.0, 5.0)
    points = mean_face_seen_by(camera)
    moved = points.copy()
    for moving in (13, 14, 61, 291, 152, 17, 50, 280, 159, 145, 105, 334, 468):
        moved[:, moving] += 0.2
    torch.testing.assert_close(estimate_camera(points).label, estimate_camera(moved).label, atol=0, rtol=0)


def test_mirrored_points_give_the_mirrored_camera() -> None:
    random = np.random.default_rng(0)
    points = mean_face_seen_by(Camera.orbit(25.0, 8.0)) + random.normal(size=(1, 478, 2)) * 0.004
    mirrored = points[:, mirror_index()] * [-1, 1] + [1, 0]
    # the modes are stored in 16 bits, so the model is symmetric to about 1e-3
    assert angle_between(estimate_camera(points).mirrored(), estimate_camera(mirrored)).max() < 0.1


def test_shift_of_the_crop_moves_the_face_and_hardly_turns_it() -> None:
    camera = Camera.orbit(12.0, 3.0)
    points = mean_face_seen_by(camera)
    # 5 % of the side is .67 degrees of the field of view: turning the camera by as much would explain it too
    assert angle_between(camera, estimate_camera(points + [0.05, 0.0])).max() < 1.5


def test_canonical_face_in_the_world_is_symmetric_and_has_its_features_where_eg3d_has_them() -> None:
    face = canonical_in_world()
    assert face.shape == (468, 3)
    np.testing.assert_allclose(face[mirror_index()[:468]] * [-1, 1, 1], face, atol=1e-9)
    eyes, nose = face[[33, 133, 263, 362]].mean(0), face[4]
    np.testing.assert_allclose(eyes, [0.0, 0.084, 0.197], atol=0.01)  # the template times .27, moved
    np.testing.assert_allclose(nose[2], 0.310, atol=0.01)


def test_points_of_the_wrong_shape_or_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match=r"\[N,478,2\]"):
        estimate_camera(np.zeros((1, 468, 2)))
    with pytest.raises(InputError, match="finite"):
        estimate_camera(np.full((1, 478, 2), np.nan))


def test_tensors_and_empty_batches_are_accepted() -> None:
    points = mean_face_seen_by(Camera.orbit(5.0))
    from_tensor = estimate_camera(torch.tensor(points))
    torch.testing.assert_close(from_tensor.label, estimate_camera(points).label)
    assert len(estimate_camera(np.zeros((0, 478, 2)))) == 0


def test_fit_returns_the_shape_it_was_given() -> None:
    random = np.random.default_rng(1)
    points, modes = random.normal(size=(60, 3)) * 0.15, random.normal(size=(2, 60, 3)) * 0.01
    model = PoseModel(np.arange(60), points, modes, np.full(60, 1e-4))
    rotation = rotation_matrix(np.array([0.1, 0.3, -0.05])) @ np.diag([1.0, -1.0, -1.0])
    seen = project(points + np.tensordot([1.2, -0.7], modes, 1), rotation, np.array([0.02, -0.01, 2.6]))
    fit = fit_pose(model, seen)
    np.testing.assert_allclose(fit.shape, [1.2, -0.7], atol=0.01)
    np.testing.assert_allclose(fit.rotation, rotation, atol=1e-3)
    np.testing.assert_allclose(fit.translation, [0.02, -0.01, 2.6], atol=5e-3)
