"""From a photo to a FaceCrop, and from a folder to a data set that survives bad files and interruptions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from threedpsp.camera import Camera
from threedpsp.errors import InputError, NoFaceError, OutputError
from threedpsp.preprocessing import apply_affine, prepare_folder, prepare_photo
from threedpsp.preprocessing.folder import PhotoReport, output_names
from threedpsp.preprocessing.mirror_sigma import load_conf_map

data = pytest.importorskip("skimage.data", reason="the test photo is scikit-image's astronaut")


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return data.astronaut()


def scaled(image: np.ndarray, factor: float) -> np.ndarray:
    side = round(image.shape[0] * factor)
    return np.asarray(Image.fromarray(image).resize((side, side)))


def test_astronaut_becomes_an_aligned_crop_with_a_camera(astronaut: np.ndarray) -> None:
    crop = prepare_photo(astronaut)
    assert crop.image.shape == (1, 3, 512, 512) and crop.image.min() >= -1 and crop.image.max() <= 1
    assert crop.mirror_sigma is None
    assert crop.landmarks is not None and crop.source_to_crop is not None
    assert abs(crop.camera.yaw_degrees.item()) < 6 and abs(crop.camera.pitch_degrees.item()) < 15
    assert crop.camera.position.norm().item() == pytest.approx(2.7, abs=1e-4)
    eyes, nose = crop.landmarks[0, [33, 133, 263, 362]].mean(0), crop.landmarks[0, 1]
    # the template has them at (256, 192) and (256, 266); she looks up a little and smiles
    torch.testing.assert_close(eyes, torch.tensor([256.0, 192.0]), atol=45, rtol=0)
    torch.testing.assert_close(nose, torch.tensor([256.0, 266.0]), atol=45, rtol=0)
    assert any("soft" in note for note in crop.notes)  # 92 pixels


def test_landmarks_lie_where_the_affine_map_puts_the_photos_points(astronaut: np.ndarray) -> None:
    """The photo's pixel under a landmark has the colour of the crop's pixel there."""
    crop = prepare_photo(astronaut)
    assert crop.landmarks is not None and crop.source_to_crop is not None
    matrix = crop.source_to_crop[0].double().numpy()
    backward = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    points = crop.landmarks[0].double().numpy()
    x, y = np.floor(apply_affine(backward, points)).astype(int).T
    u, v = np.floor(points).astype(int).T
    photo = astronaut[y, x] / 127.5 - 1
    assert np.abs(crop.image[0, :, v, u].numpy().T - photo).mean() < 0.08


def test_mirrored_photo_gives_the_mirrored_camera_and_crop(astronaut: np.ndarray) -> None:
    crop, mirrored = prepare_photo(astronaut), prepare_photo(np.ascontiguousarray(astronaut[:, ::-1]))
    a, b = crop.camera.mirrored().cam2world[0, :3, :3], mirrored.camera.cam2world[0, :3, :3]
    angle = torch.rad2deg(torch.arccos((((a * b).sum() - 1) / 2).clamp(-1, 1)))
    assert angle < 1.0
    assert (crop.image.flip(3) - mirrored.image).abs().mean() < 0.05


@pytest.mark.parametrize("factor", [0.6, 3.0])
def test_camera_does_not_depend_on_the_photos_size(astronaut: np.ndarray, factor: float) -> None:
    camera, other = prepare_photo(astronaut).camera, prepare_photo(scaled(astronaut, factor)).camera
    assert abs(camera.yaw_degrees - other.yaw_degrees) < 2 and abs(camera.pitch_degrees - other.pitch_degrees) < 2


def test_size_and_mirror_sigma_are_as_asked(astronaut: np.ndarray) -> None:
    crop = prepare_photo(astronaut, size=256, with_mirror_sigma=True)
    assert crop.image.shape == (1, 3, 256, 256)
    assert crop.mirror_sigma is not None and crop.mirror_sigma.shape == (1, 256, 256)
    assert (crop.mirror_sigma > 0).all()


def test_photo_that_ends_at_the_face_is_noted(astronaut: np.ndarray) -> None:
    tight = np.ascontiguousarray(astronaut[60:185, 170:280])
    crop = prepare_photo(tight)
    assert (crop.image[0, :, :20, :20] == -1).all()
    assert any("outside the photo" in note for note in crop.notes)
    assert not any("outside" in note for note in prepare_photo(tight, border="mirror").notes)


def test_faces_can_be_chosen_by_number(astronaut: np.ndarray) -> None:
    pair = np.full((512, 1024, 3), 120, np.uint8)
    pair[100:432, 100:432] = scaled(astronaut, 332 / 512)
    pair[:, 512:] = astronaut
    largest, second = prepare_photo(pair), prepare_photo(pair, face=1)
    assert any("2 faces" in note for note in largest.notes)
    assert largest.source_to_crop is not None and second.source_to_crop is not None
    assert second.source_to_crop[0, 0, 0] > 1.3 * largest.source_to_crop[0, 0, 0]
    with pytest.raises(InputError, match="2 face"):
        prepare_photo(pair, face=2)


def test_small_face_is_refused_with_its_size(astronaut: np.ndarray) -> None:
    small = np.full((400, 400, 3), 120, np.uint8)
    small[100:275, 100:275] = scaled(astronaut, 175 / 512)  # the face is 31 pixels wide
    with pytest.raises(InputError, match="too small: 3. pixels"):
        prepare_photo(small)


def test_tiny_face_is_refused(astronaut: np.ndarray) -> None:
    tiny = np.full((400, 400, 3), 120, np.uint8)
    tiny[100:211, 100:211] = scaled(astronaut, 111 / 512)  # 20 pixels
    with pytest.raises(InputError, match="too small|No face"):
        prepare_photo(tiny)


def test_photo_without_a_face_is_refused() -> None:
    with pytest.raises(NoFaceError, match="No face found"):
        prepare_photo(data.coffee())


def test_folder_becomes_a_data_set_and_bad_files_are_reported(astronaut: np.ndarray, tmp_path: Path) -> None:
    source, output = tmp_path / "photos", tmp_path / "set"
    source.mkdir()
    Image.fromarray(astronaut).save(source / "a.jpg")
    Image.fromarray(astronaut[:, ::-1]).save(source / "a.png")
    (source / "broken.png").write_text("no picture")
    Image.fromarray(data.coffee()).resize((300, 200)).save(source / "coffee.webp")
    (source / "notes.txt").write_text("not a photo")
    seen: list[PhotoReport] = []
    report = prepare_folder(source, output, size=128, on_photo=lambda photo, number, total: seen.append(photo))
    assert [photo.source for photo in report.photos] == ["a.jpg", "a.png", "broken.png", "coffee.webp"]
    assert list(report.photos) == seen
    assert [photo.output for photo in report.photos] == ["a_jpg.png", "a_png.png", None, None]
    assert "not an image" in str(report.failed[0].error) and "No face" in str(report.failed[1].error)
    assert report.ignored == ("notes.txt",) and report.kept == 0
    written = sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file())
    maps = ["conf_map/a_jpg.npy", "conf_map/a_png.npy"]
    assert written == ["a_jpg.png", "a_png.png", *maps, "dataset.json", "report.json"]
    with Image.open(output / "a_jpg.png") as image:
        assert image.size == (128, 128) and image.mode == "RGB"
    assert np.load(output / maps[0]).shape == (256, 256) and load_conf_map(output / maps[0], 128).shape == (128, 128)
    labels = dict(json.loads((output / "dataset.json").read_text())["labels"])
    assert list(labels) == ["a_jpg.png", "a_png.png"] and {len(label) for label in labels.values()} == {25}
    left, right = (Camera.from_label(torch.tensor([label])).yaw_degrees.item() for label in labels.values())
    assert left == pytest.approx(-right, abs=1.0)


def test_second_run_keeps_what_is_done_and_does_the_rest(astronaut: np.ndarray, tmp_path: Path) -> None:
    source, output = tmp_path / "photos", tmp_path / "set"
    source.mkdir()
    Image.fromarray(astronaut).save(source / "a.jpg")
    Image.fromarray(astronaut).save(source / "b.jpg")

    class StoppedError(Exception):
        pass

    def stop(photo: PhotoReport, number: int, total: int) -> None:
        if number == 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        prepare_folder(source, output, size=64, with_mirror_sigma=False, on_photo=stop)
    first = (output / "a.png").stat().st_mtime_ns
    assert not (output / "b.png").exists()
    report = prepare_folder(source, output, size=64, with_mirror_sigma=False)
    assert report.kept == 1 and (output / "b.png").is_file() and (output / "a.png").stat().st_mtime_ns == first
    assert len(json.loads((output / "dataset.json").read_text())["labels"]) == 2
    assert prepare_folder(source, output, size=32, with_mirror_sigma=False).kept == 0  # other settings: all again


def test_folder_of_results_must_be_another_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another folder"):
        prepare_folder(tmp_path, tmp_path)
    with pytest.raises(InputError, match="no folder"):
        prepare_folder(tmp_path / "missing", tmp_path / "set")


def test_folder_that_cannot_be_written_ends_the_work(astronaut: np.ndarray, tmp_path: Path) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    Image.fromarray(astronaut).save(source / "a.jpg")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        prepare_folder(source, tmp_path / "file" / "set")


def test_output_names_never_collide_not_even_by_case() -> None:
    names = output_names([Path(n) for n in ("a.jpg", "A.png", "a_jpg.bmp", "b.jpg", "c.d.jpg", "c.d.png", ".hidden")])
    assert names[3] == "b" and names[2] == "a_jpg"
    assert len({name.lower() for name in names}) == len(names)
