"""Folders that are prepared already, by us or by the published preprocessing, as input."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.core.small_model import save_small_model
from threedpsp.camera import Camera
from threedpsp.cli import main
from threedpsp.errors import InputError
from threedpsp.preprocessing import prepare_folder, prepared_folder
from threedpsp.preprocessing.folder import PHOTO_SUFFIXES
from threedpsp.preprocessing.mirror_sigma import load_conf_map
from threedpsp.preprocessing.prepared_folder import is_prepared, load_prepared, read_prepared

LABEL = Camera.orbit(12.0, -3.0).label[0].tolist()


@pytest.fixture(autouse=True)
def no_face_detector(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The crops here show nobody; one test looks for a real face."""
    if request.function is not test_what_we_prepared_is_read_back:
        monkeypatch.setattr(prepared_folder, "detect_faces", lambda image: [])


def write_crop(path: Path, side: int = 64, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def published(folder: Path, labels: Any = None) -> Path:
    """As the published preprocessing leaves a folder, with a mirrored copy."""
    for number, name in enumerate(("anna.png", "anna_mirror.png", "bert.png")):
        write_crop(folder / name, seed=number)
    conf_map = np.linspace(0.1, 0.9, 65536, dtype=np.float32).reshape(256, 256)
    (folder / "conf_map").mkdir()
    np.save(folder / "conf_map" / "anna.npy", conf_map)
    if labels is None:
        mirrored = Camera.from_label(torch.tensor([LABEL])).mirrored().label[0].tolist()
        labels = [["anna.png", LABEL], ["anna_mirror.png", mirrored], ["bert.png", LABEL]]
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    return folder


def test_published_folder_is_read_with_cameras_and_uncertainties(tmp_path: Path):
    folder = published(tmp_path)
    read = read_prepared(folder, PHOTO_SUFFIXES)
    assert is_prepared(folder) and not is_prepared(folder / "conf_map")
    assert [photo.name for photo in read.photos] == ["anna.png", "bert.png"]
    assert read.mirrored == ("anna_mirror.png",)
    anna, bert = (load_prepared(photo) for photo in read.photos)
    torch.testing.assert_close(anna.camera.label, torch.tensor([LABEL]))
    pixels = torch.from_numpy(np.array(Image.open(folder / "anna.png"))).permute(2, 0, 1)[None]
    torch.testing.assert_close(anna.image, pixels.float() / 127.5 - 1)
    assert anna.mirror_sigma is not None
    torch.testing.assert_close(anna.mirror_sigma[0], load_conf_map(folder / "conf_map" / "anna.npy", 64))
    assert bert.mirror_sigma is None and bert.landmarks is None
    assert any("not aligned again" in note for note in bert.notes) and any("No face" in note for note in bert.notes)


def test_mirrored_copy_alone_is_a_photo(tmp_path: Path):
    folder = published(tmp_path, [["anna_mirror.png", LABEL]])
    (folder / "anna.png").unlink()
    (folder / "bert.png").unlink()
    assert [photo.name for photo in read_prepared(folder, PHOTO_SUFFIXES).photos] == ["anna_mirror.png"]


def test_labels_of_nested_folders_are_found(tmp_path: Path):
    write_crop(tmp_path / "00000" / "img00000007.png")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": [["00000/img00000007.png", LABEL]]}))
    (photo,) = read_prepared(tmp_path, PHOTO_SUFFIXES).photos
    assert load_prepared(photo).image.shape == (1, 3, 64, 64)


def test_conf_map_whose_name_was_cut_is_found(tmp_path: Path):
    """The published code cuts four characters off "a.jpeg"."""
    write_crop(tmp_path / "a.jpeg")
    (tmp_path / "conf_map").mkdir()
    np.save(tmp_path / "conf_map" / "a..npy", np.ones((256, 256), np.float32))
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": [["a.jpeg", LABEL]]}))
    (photo,) = read_prepared(tmp_path, PHOTO_SUFFIXES).photos
    assert photo.conf_map == tmp_path / "conf_map" / "a..npy"


def test_size_is_as_asked(tmp_path: Path):
    crop = load_prepared(read_prepared(published(tmp_path), PHOTO_SUFFIXES).photos[0], 32)
    assert crop.image.shape == (1, 3, 32, 32)
    assert crop.mirror_sigma is not None and crop.mirror_sigma.shape == (1, 32, 32)


def test_crop_without_a_label_is_explained(tmp_path: Path):
    folder = published(tmp_path, [["anna.png", LABEL]])
    bert = next(photo for photo in read_prepared(folder, PHOTO_SUFFIXES).photos if photo.name == "bert.png")
    with pytest.raises(InputError, match="bert.png has no camera: dataset.json does not name it"):
        load_prepared(bert)


def test_label_without_its_crop_is_explained(tmp_path: Path):
    folder = published(tmp_path)
    (folder / "bert.png").unlink()
    with pytest.raises(InputError, match="There is no file .*bert.png"):
        load_prepared(read_prepared(folder, PHOTO_SUFFIXES).photos[1])


def test_picture_that_is_not_square_is_explained(tmp_path: Path):
    folder = published(tmp_path)
    Image.new("RGB", (64, 48)).save(folder / "anna.png")
    with pytest.raises(InputError, match="no crop: 64 x 48 pixels"):
        load_prepared(read_prepared(folder, PHOTO_SUFFIXES).photos[0])


@pytest.mark.parametrize(
    ("labels", "cause"),
    [
        ("text", "holds no list of labels"),
        ([["anna.png"]], "expected"),
        ([[3, LABEL]], "expected"),
        ([["anna.png", LABEL[:24]]], "not 25 finite numbers"),
        ([["anna.png", [*LABEL[:24], None]]], "not 25 finite numbers"),
        ([["anna.png", [float("nan"), *LABEL[1:]]]], "not 25 finite numbers"),
        ([["anna.png", [10**400, *LABEL[1:]]]], "not 25 finite numbers"),
        ([["anna.png", [10**39, *LABEL[1:]]]], "not 25 finite numbers"),
        ([["../anna.png", LABEL]], "inside its folder"),
        ([["/etc/passwd", LABEL]], "inside its folder"),
        ([["..\\anna.png", LABEL]], "inside its folder"),
        ([["C:/anna.png", LABEL]], "inside its folder"),
        ([["", LABEL]], "inside its folder"),
    ],
)
def test_damaged_labels_are_explained(tmp_path: Path, labels: Any, cause: str):
    with pytest.raises(InputError, match=cause):
        read_prepared(published(tmp_path, labels), PHOTO_SUFFIXES)


def test_thousands_of_mirrored_copies_take_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Published sets have 70,000 photos and as many copies; work that grows with the square of that takes minutes."""
    labels = {f"{number:05}{ending}.png": tuple(LABEL) for number in range(20_000) for ending in ("", "_mirror")}
    monkeypatch.setattr(prepared_folder, "_read_labels", lambda path: labels)
    started = time.process_time()
    read = read_prepared(tmp_path, PHOTO_SUFFIXES)
    assert len(read.photos) == len(read.mirrored) == 20_000
    assert time.process_time() - started < 5  # seen: 1.0; with a search through all copies for each photo: 9.0


def test_file_that_is_no_json_is_explained(tmp_path: Path):
    (tmp_path / "dataset.json").write_bytes(b"\xff\xfenonsense")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read_prepared(tmp_path, PHOTO_SUFFIXES)


@pytest.mark.parametrize(
    ("place", "value", "cause"), [(0, 3.0, "no rotation"), (16, 2985.29, "divided by the image's side")]
)
def test_label_that_is_no_camera_is_explained(tmp_path: Path, place: int, value: float, cause: str):
    label = [*LABEL[:place], value, *LABEL[place + 1 :]]
    folder = published(tmp_path, [["anna.png", label]])
    with pytest.raises(InputError, match=cause):
        load_prepared(read_prepared(folder, PHOTO_SUFFIXES).photos[0])


def test_prepare_folder_keeps_crops_cameras_and_uncertainties(tmp_path: Path):
    source = published(tmp_path / "in")
    report = prepare_folder(source, tmp_path / "out", size=64)
    assert [photo.output for photo in report.photos] == ["anna.png", "bert.png"] and not report.failed
    assert report.ignored == ("anna_mirror.png",)
    for name in ("anna.png", "bert.png"):
        before, after = (np.array(Image.open(folder / name)) for folder in (source, tmp_path / "out"))
        assert (before == after).all()
    same = Path("conf_map") / "anna.npy"
    assert (source / same).read_bytes() == (tmp_path / "out" / same).read_bytes()
    labels = dict(json.loads((tmp_path / "out" / "dataset.json").read_text())["labels"])
    assert labels["anna.png"] == pytest.approx(LABEL)
    assert prepare_folder(source, tmp_path / "out", size=64).kept == 2


def test_prepare_folder_reports_what_a_prepared_folder_lacks(tmp_path: Path):
    source = published(tmp_path / "in", [["anna.png", LABEL], ["carl.png", LABEL]])
    report = prepare_folder(source, tmp_path / "out", size=64)
    assert [photo.source for photo in report.failed] == ["bert.png", "carl.png"]


def test_what_we_prepared_is_read_back(tmp_path: Path):
    data = pytest.importorskip("skimage.data", reason="the test photo is scikit-image's astronaut")
    (tmp_path / "photos").mkdir()
    Image.fromarray(data.astronaut()).save(tmp_path / "photos" / "eileen.jpg")
    first = prepare_folder(tmp_path / "photos", tmp_path / "set", size=256)
    (photo,) = read_prepared(tmp_path / "set", PHOTO_SUFFIXES).photos
    crop = load_prepared(photo)
    assert first.photos[0].label is not None and crop.landmarks is not None and crop.mirror_sigma is not None
    assert crop.camera.label[0].tolist() == pytest.approx(first.photos[0].label)
    eyes = crop.landmarks[0, [33, 133, 263, 362]].mean(0)
    torch.testing.assert_close(eyes, torch.tensor([128.0, 96.0]), atol=25, rtol=0)


def test_invert_takes_a_prepared_folder_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = published(tmp_path / "in", [["anna.png", LABEL], ["bert.png", LABEL], ["carl.png", LABEL]])
    (tmp_path / "model").mkdir()
    model = save_small_model(tmp_path / "model")
    fast = ["--no-refine", "--frames", "2", "--size", "64", "--steps", "1", "--device", "cpu", "--json"]
    assert main(["invert", str(source), "-o", str(tmp_path / "out"), "--generator", str(model), *fast]) == 2
    printed = capsys.readouterr()
    assert "is prepared already" in printed.err and "1 mirrored copies are left out" in printed.err
    told = json.loads(printed.out)
    assert [Path(result["folder"]).name for result in told["results"]] == ["anna", "bert"]
    assert [failure["photo"] for failure in told["failures"]] == [str(source / "carl.png")]
    report = told["results"][0]
    assert report["photo_camera"] == {
        "yaw_degrees": pytest.approx(12, abs=0.1),
        "pitch_degrees": pytest.approx(-3, abs=0.1),
    }
    before, after = (np.array(Image.open(path)) for path in (source / "anna.png", tmp_path / "out/anna/crop.png"))
    assert (before == after).all()
