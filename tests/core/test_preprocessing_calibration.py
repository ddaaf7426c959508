"""The script that made the pose model: triangulation, the choice of points, and the renderer of its heads."""

from __future__ import annotations

import numpy as np
import pytest

from threedpsp.camera import FOCAL, Camera
from threedpsp.errors import InputError
from threedpsp.preprocessing.ict_heads import BROW, HAIR, SKIN, HeadModel, render_head
from threedpsp.preprocessing.landmark_model import mirror_index
from threedpsp.preprocessing.pose import canonical_in_world
from threedpsp.preprocessing.pose_calibration import Views, angle_errors, build_model
from threedpsp.preprocessing.pose_model import project


def synthetic_views(heads: int, random: np.random.Generator, noise: float = 0.002) -> Views:
    """Canonical faces stretched at random, seen from known cameras; the mouth is open in every fourth view."""
    irises = canonical_in_world()[[159, 160, 158, 161, 157, 386, 387, 385, 388, 384]]
    mean = np.concatenate([canonical_in_world(), irises])
    rows = []
    for head in range(heads):
        shape = mean * (1 + random.normal(size=3) * 0.05)
        for view in range(8):
            camera = Camera.orbit(random.uniform(-40, 40), random.uniform(-20, 20)).cam2world[0].double().numpy()
            inverse = np.linalg.inv(camera)
            jaw = 10.0 if view % 4 == 3 else 0.0
            moved = shape + (mean[:, 1:2] < -0.06) * np.array([0.0, -0.004 * jaw, 0.0])
            seen = project(moved, inverse[:3, :3], inverse[:3, 3]) + random.normal(size=(478, 2)) * noise
            rows.append((head, jaw, camera, seen))
    head_numbers, jaws, cameras, points = (np.array(column) for column in zip(*rows, strict=True))
    return Views(head_numbers, jaws, cameras, points)


def test_model_from_known_views_finds_the_cameras_of_others() -> None:
    random = np.random.default_rng(0)
    views = synthetic_views(12, random)
    model = build_model(views, synthetic_views(6, random).points[::4])
    assert len(model.points) > 60 and len(model.modes) <= 20
    assert not {61, 291, 13, 14, 152, 105, 334, 159, 468} & set(model.points.tolist())  # mouth, chin, brows, lids, iris
    assert angle_errors(model, synthetic_views(3, random)).mean() < 2.0


def test_model_is_symmetric() -> None:
    random = np.random.default_rng(1)
    model = build_model(synthetic_views(8, random), synthetic_views(4, random).points[::4])
    order = {int(point): i for i, point in enumerate(model.points)}
    twin = [order[int(mirror_index()[point])] for point in model.points]
    np.testing.assert_allclose(model.mean[twin] * [-1, 1, 1], model.mean, atol=1e-9)
    np.testing.assert_allclose(model.sigma[twin], model.sigma, atol=1e-9)


def test_points_that_photos_show_elsewhere_are_left_out() -> None:
    random = np.random.default_rng(2)
    views, photos = synthetic_views(8, random), synthetic_views(8, random).points[::4]
    plain = build_model(views, photos)
    photos[:, [47, 277]] += [0.0, -0.04]  # beside the nose of people who smile
    photos[:, [6]] += [0.0, 0.006]  # a little off: kept, but trusted less
    model = build_model(views, photos)
    assert {47, 277, 6} <= set(plain.points.tolist()) and not {47, 277} & set(model.points.tolist())
    assert model.sigma[model.points == 6].item() > 1.5 * plain.sigma[plain.points == 6].item()


def test_too_few_views_are_refused() -> None:
    views = synthetic_views(1, np.random.default_rng(0)).select(np.arange(3))
    with pytest.raises(InputError, match="use more"):
        build_model(views, views.points)


def test_renderer_shows_the_nearer_surface_where_the_camera_sees_it() -> None:
    def square(side: float, z: float) -> np.ndarray:
        return np.array([[-side, -side, z], [side, -side, z], [side, side, z], [-side, side, z]])

    far, near = square(0.2, 0.0), square(0.1, 0.2)
    vertices = np.concatenate([far, near + [0.1, 0.1, 0.0]])
    triangles = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    parts = np.array([SKIN] * 4 + [BROW] * 4)
    model = HeadModel(vertices, np.zeros((0, 8, 3)), triangles, parts)
    camera = Camera.orbit(0.0).cam2world[0].double().numpy()
    image = render_head(vertices, model, camera, FOCAL, 64, np.random.default_rng(0)).astype(int)
    background, skin, brow = image[0, 0], image[36, 28], image[28, 36]
    assert brow.sum() < skin.sum()  # brows are darker; the near square covers the upper right
    assert (image[20:32, 34:44] == brow).all() and (image[34:40, 20:30] == skin).all()
    edge = round((0.5 + FOCAL * 0.2 / 2.7) * 64)  # the far square's edge
    assert (image[40, edge + 1] == background).all() and (image[40, edge - 2] == skin).all()
    assert HAIR not in parts
