"""Stage by stage gives what `prepare` gives at once; landmarks may come from elsewhere; bad photos are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import threedpsp
from threedpsp.errors import InputError, NoFaceError, WeightsError
from threedpsp.preprocessing.landmarks import detect_faces
from threedpsp.types import FaceCrop

FACES = sorted((Path(__file__).parents[2] / "nodes" / "example_photos").glob("threedpsp_face_*.jpg"))
NO_FACE = np.full((300, 300, 3), 0.5, np.float32)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return data.astronaut()


@pytest.fixture(scope="module")
def crop(astronaut: np.ndarray) -> FaceCrop:
    return threedpsp.align([astronaut], size=256)


def test_the_stages_give_what_prepare_gives(astronaut: np.ndarray, crop: FaceCrop):
    at_once = threedpsp.prepare(astronaut, size=256)
    staged = threedpsp.estimate_confidence(threedpsp.estimate_pose(crop))
    assert torch.equal(staged.image, at_once.image)
    torch.testing.assert_close(staged.camera.label, at_once.camera.label, rtol=0, atol=1e-5)  # points kept as float32
    torch.testing.assert_close(staged.mirror_sigma, at_once.mirror_sigma, rtol=0, atol=1e-4)


def test_landmarks_from_elsewhere_replace_the_search(
    astronaut: np.ndarray, crop: FaceCrop, monkeypatch: pytest.MonkeyPatch
):
    points = detect_faces(astronaut)[0].points

    def searched(_: np.ndarray) -> list[object]:
        raise AssertionError("the photo was searched")

    monkeypatch.setattr("threedpsp.preprocessing.prepare.detect_faces", searched)
    given = threedpsp.align([astronaut], size=256, landmarks=[[points]])
    assert torch.equal(given.image, crop.image)
    assert torch.equal(given.landmarks, crop.landmarks)
    without_irises = threedpsp.align([astronaut], size=256, landmarks=[[torch.from_numpy(points[:468])]])
    assert torch.equal(without_irises.image, crop.image)
    turn = (without_irises.camera.yaw_degrees - crop.camera.yaw_degrees).abs().item()
    assert turn < 0.5  # degrees: the irises have little say in the pose


@pytest.mark.parametrize("points", [np.zeros((68, 2)), np.full((478, 2), np.nan), np.zeros(478)], ids=str)
def test_landmarks_of_another_kind_are_refused(astronaut: np.ndarray, points: np.ndarray):
    with pytest.raises(InputError, match=r"\[478,2\]"):
        threedpsp.align([astronaut], landmarks=[[points]])


def test_a_photo_without_a_face_is_named_by_its_number(astronaut: np.ndarray):
    with pytest.raises(NoFaceError, match="Photo 2 of 2: No face found"):
        threedpsp.align([astronaut, NO_FACE])


def test_photos_without_faces_are_left_out_and_reported_on_request(astronaut: np.ndarray):
    seen: list[tuple[str, int, int]] = []
    aligned = threedpsp.align(
        [NO_FACE, astronaut], size=128, skip_missing=True, on_progress=lambda *step: seen.append(step)
    )
    assert len(aligned) == 1
    assert any(note.startswith("Left out. Photo 1 of 2: No face found") for note in aligned.notes)
    assert seen == [("align", 1, 2), ("align", 2, 2)]
    with pytest.raises(NoFaceError, match="None of the photos"):
        threedpsp.align([NO_FACE], skip_missing=True)


def test_photos_of_several_sizes_make_one_batch(astronaut: np.ndarray):
    photos = [astronaut, *(np.asarray(Image.open(path).resize((300, 300))) for path in FACES)]
    aligned = threedpsp.align(photos, size=128)
    assert tuple(aligned.image.shape) == (4, 3, 128, 128)
    assert len(aligned.camera) == len(aligned.landmarks) == 4
    one = aligned[2]
    assert len(one) == 1 and torch.equal(one.image, aligned.image[2:3])
    again = FaceCrop.cat([aligned[i] for i in range(4)])
    assert torch.equal(again.image, aligned.image) and torch.equal(again.camera.label, aligned.camera.label)


def test_the_camera_can_be_corrected(crop: FaceCrop):
    turned = threedpsp.estimate_pose(crop, turn_yaw=10.0, turn_pitch=-4.0)
    plain = threedpsp.estimate_pose(crop)
    assert turned.camera.yaw_degrees.item() == pytest.approx(plain.camera.yaw_degrees.item() + 10, abs=0.01)
    assert turned.camera.pitch_degrees.item() == pytest.approx(plain.camera.pitch_degrees.item() - 4, abs=0.01)
    assert turned.camera.position.norm().item() == pytest.approx(plain.camera.position.norm().item(), abs=1e-4)
    with pytest.raises(InputError, match="within 89"):
        threedpsp.estimate_pose(crop, turn_pitch=88.0)


def test_networks_that_are_not_there_are_named(crop: FaceCrop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("THREEDPSP_WEIGHTS", raising=False)
    with pytest.raises(WeightsError, match="epoch_20.pth"):
        threedpsp.estimate_pose(crop, "deep3d")
    with pytest.raises(WeightsError, match="checkpoint030.pth"):
        threedpsp.estimate_confidence(crop, "unsup3d")


def test_confidence_is_high_where_the_mirror_agrees_and_lies_on_the_photo(crop: FaceCrop):
    with pytest.raises(InputError, match="no confidence map"):
        threedpsp.confidence_on_photo(crop)
    mapped = threedpsp.estimate_confidence(crop)
    confidence = threedpsp.confidence_on_photo(mapped)
    assert confidence.min() > 0 and confidence.max() < 1
    torch.testing.assert_close(confidence, 1 / (1 + mapped.mirror_sigma.flip(-1)))
    heat = threedpsp.confidence_heat(mapped)
    least, most = confidence[0].flatten().argmin(), confidence[0].flatten().argmax()
    red = heat[0, 0].flatten()
    assert red[least] > red[most] + 0.5  # warm colours where the mirror image is not to be trusted


def test_the_overlay_draws_axes_and_points_on_the_crop(crop: FaceCrop):
    overlay = threedpsp.pose_overlay(crop)
    changed = (overlay - crop.image).abs().amax(1)[0] > 0.2
    nose = crop.landmarks[0, 1].long()
    assert changed[nose[1] - 3 : nose[1] + 4, nose[0] - 3 : nose[0] + 4].any()
    assert 0.01 < changed.float().mean() < 0.3
