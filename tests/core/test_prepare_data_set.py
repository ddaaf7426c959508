"""`threedpsp prepare` on whole data sets: bad photos, archives, several workers, kills."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from threedpsp.camera import Camera
from threedpsp.cli import main
from threedpsp.cli.prepare import Prepare
from threedpsp.cli.progress_bar import ProgressBar
from threedpsp.errors import OutputError, ThreeDPSPError
from threedpsp.output import output_dir, sole_writer
from threedpsp.preprocessing import photo_jobs, prepare_folder, workers
from threedpsp.preprocessing.dataset import FaceDataset
from threedpsp.preprocessing.folder import output_names
from threedpsp.preprocessing.mirror_sigma import load_conf_map

data = pytest.importorskip("skimage.data", reason="the test photo is scikit-image's astronaut")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good photos and bad ones, in folders."""
    folder = tmp_path_factory.mktemp("photos")
    face = Image.fromarray(data.astronaut()).crop((100, 0, 356, 256))
    (folder / "more" / ".hidden").mkdir(parents=True)
    face.save(folder / "a.jpg")
    face.rotate(3).save(folder / "a.png")
    face.rotate(-3).save(folder / "more" / "a.jpg")
    face.save(folder / "more" / ".hidden" / "no.jpg")
    turned = face.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    turned.save(folder / "more" / "turned.webp", exif=exif)
    both = Image.new("RGB", (512, 256))
    both.paste(face, (0, 0))
    both.paste(face.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (256, 0))
    both.save(folder / "two.tiff")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "nobody.bmp")
    (folder / "iphone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(16))
    (folder / "letter.png").write_text("Dear photo, you are none.")
    (folder / "notes.txt").write_text("not a photo")
    return folder


def prepare(*arguments: object) -> int:
    return main(["prepare", *map(str, arguments), "--size", "64", "--json", "--quiet"])


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def unpacked(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as file:
        assert all(info.compress_type == zipfile.ZIP_STORED for info in file.infolist())
        return {name: file.read(name) for name in file.namelist()}


@pytest.fixture(scope="module")
def prepared(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set of those photos, with mirrored copies, made by one process."""
    output = tmp_path_factory.mktemp("sets") / "set"
    assert prepare(photos, "-o", output, "--workers", 1, "--mirrored-copies") == 1
    return output


def test_everything_is_reported(photos: Path, prepared: Path, capsys: pytest.CaptureFixture[str]):
    crops = ["a_jpg", "a_png", "more_a_jpg", "turned", "two"]
    names = {f"{crop}{ending}" for crop in crops for ending in (".png", "_mirror.png")}
    maps = {f"conf_map/{Path(name).stem}.npy" for name in names}
    assert set(contents(prepared)) == names | maps | {"dataset.json", "report.json"}
    report = json.loads((prepared / "report.json").read_text())
    assert report["ignored"] == ["notes.txt"]
    errors = {photo["source"]: photo["error"] for photo in report["photos"] if photo["error"]}
    assert set(errors) == {"iphone.heic", "letter.png", "nobody.bmp"}
    assert "No face" in errors["nobody.bmp"] and "not an image" in errors["letter.png"]
    notes = {photo["source"]: " ".join(photo["notes"]) for photo in report["photos"]}
    assert "upright" in notes["more/turned.webp"] and "2 faces found" in notes["two.tiff"]
    arguments = ["prepare", str(photos), "-o", str(prepared), "--size", "64", "--workers", "1", "--mirrored-copies"]
    assert main(arguments) == 1
    shown = capsys.readouterr()
    assert "5 of 8 photos prepared (5 of them earlier)" in shown.out and "letter.png" in shown.out
    assert "no face            1" in shown.out and "unusable           2" in shown.out
    assert "prepare 8/8" in shown.err and "error: nobody.bmp: No face" in shown.err


def test_heic_without_its_plugin_is_one_clear_line(prepared: Path):
    photos = json.loads((prepared / "report.json").read_text())["photos"]
    error = next(photo["error"] for photo in photos if photo["source"] == "iphone.heic")
    assert "\n" not in error and ("pip install pillow-heif" in error or "not an image" in error)


def test_mirrored_copies_have_mirrored_pixels_labels_and_maps(prepared: Path):
    stored = FaceDataset(prepared)
    assert len(stored) == 10 and stored.has_mirror_sigma
    items = {name: (image, label) for image, label, _, name in (stored[i] for i in range(len(stored)))}
    image, label = items["turned.png"]
    copy, copy_label = items["turned_mirror.png"]
    assert torch.equal(copy, image.flip(2))
    torch.testing.assert_close(copy_label, Camera.from_label(label[None]).mirrored().label[0])
    original, mirrored = (load_conf_map(prepared / "conf_map" / f"turned{e}.npy", 256) for e in ("", "_mirror"))
    # stored at 256 from the crop's 64; splines at load treat both borders alike
    torch.testing.assert_close(mirrored, original.flip(1), atol=1e-4, rtol=1e-4)


def test_exif_is_applied_before_the_face_is_looked_for(prepared: Path):
    plain, turned = (np.array(Image.open(prepared / f"{name}.png")).astype(float) for name in ("a_jpg", "turned"))
    assert np.abs(plain - turned).mean() < 4


@pytest.mark.parametrize(("only", "code"), [("nobody.bmp", 3), ("letter.png", 2), ("a.jpg", 0)])
def test_exit_code_says_what_was_wrong(photos: Path, tmp_path: Path, only: str, code: int):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / only).write_bytes((photos / only).read_bytes())
    assert prepare(tmp_path / "in", "-o", tmp_path / "out", "--workers", 1) == code


def test_all_faces_of_a_photo(photos: Path, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "two.tiff").write_bytes((photos / "two.tiff").read_bytes())
    assert prepare(tmp_path / "in", "-o", tmp_path / "out", "--workers", 1, "--faces", "all") == 0
    labels = json.loads((tmp_path / "out" / "dataset.json").read_text())["labels"]
    assert [name for name, _ in labels] == ["two_face0.png", "two_face1.png"]
    yaws = [Camera.from_label(torch.tensor([label])).yaw_degrees.item() for _, label in labels]
    assert yaws[0] == pytest.approx(-yaws[1], abs=1.0)  # the second is the first mirrored


def test_archives_and_several_workers_give_the_same_bytes(photos: Path, prepared: Path, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        for path in sorted(p for p in photos.rglob("*") if p.is_file()):
            file.write(path, path.relative_to(photos).as_posix())
        file.writestr("../../evil.jpg", (photos / "a.jpg").read_bytes())
    archive = tmp_path / "deep" / "set.zip"
    assert prepare(tmp_path / "photos.zip", "-o", archive, "--workers", 2, "--mirrored-copies") == 1
    expected, found = contents(prepared), unpacked(archive)
    report = json.loads(found.pop("report.json"))
    del expected["report.json"]  # its stamps are those of other files
    assert found == expected
    assert report["ignored"] == ["notes.txt", "../../evil.jpg"] and not list(tmp_path.rglob("evil*"))
    assert [path.name for path in archive.parent.iterdir()] == ["set.zip"]
    first = archive.read_bytes()
    again = prepare_folder(tmp_path / "photos.zip", archive, size=64, mirrored_copies=True)
    assert again.kept == 5 and archive.read_bytes() == first
    assert len(FaceDataset(archive, need_mirror_sigma=True)) == 10


def test_prepared_archive_is_taken_as_it_is(prepared: Path, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        for name, content in contents(prepared).items():
            file.writestr(name, content)
    assert prepare(tmp_path / "set.zip", "-o", tmp_path / "out", "--workers", 1) == 0
    before, after = contents(prepared), contents(tmp_path / "out")
    images = [name for name in after if name.endswith((".png", ".npy"))]
    assert len(images) == 10 and all(after[name] == before[name] for name in images)


def test_kill_at_any_moment_loses_and_doubles_nothing(photos: Path, prepared: Path, tmp_path: Path):
    output = tmp_path / "set"
    options = ["--size", "64", "--workers", "2", "--mirrored-copies", "--quiet"]
    command = [sys.executable, "-m", "threedpsp", "prepare", str(photos), "-o", str(output), *options]
    moments = random.Random(time.time_ns())
    for wanted in sorted(moments.uniform(0, 12) for _ in range(2)):  # files there, of 20
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(contents(output) if output.is_dir() else {}) < wanted:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120).returncode == 1
    assert contents(output) == contents(prepared)


def test_half_a_line_in_the_journal_and_half_a_file_do_no_harm(photos: Path, prepared: Path, tmp_path: Path):
    output = tmp_path / "set"
    (output / "conf_map").mkdir(parents=True)
    for name, content in contents(prepared).items():
        (output / name).write_bytes(content)
    lines = [json.dumps(photo) for photo in json.loads((output / "report.json").read_text())["photos"]]
    (output / "report.json").unlink()
    (output / ".prepare.jsonl").write_text(lines[0] + "\n" + lines[1][:70])
    (output / ".a_png.0123abcd.png").write_bytes(b"half")
    report = prepare_folder(photos, output, size=64, mirrored_copies=True)
    assert report.kept == 1
    assert contents(output) == contents(prepared)


def test_what_a_power_cut_left_cut_off_is_done_again(photos: Path, prepared: Path, tmp_path: Path):
    output = tmp_path / "set"
    (output / "conf_map").mkdir(parents=True)
    for name, content in contents(prepared).items():
        (output / name).write_bytes(content)
    crop, confidence = sorted(output.glob("*.png"))[0], sorted(output.glob("conf_map/*.npy"))[-1]
    crop.write_bytes(crop.read_bytes()[:-20])
    confidence.write_bytes(confidence.read_bytes()[:1000])
    report = prepare_folder(photos, output, size=64, mirrored_copies=True)
    assert report.kept == sum(bool(photo.crops) for photo in report.photos) - 2
    assert contents(output) == contents(prepared)


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot lock folders")
def test_a_second_run_into_the_same_folder_is_refused(photos: Path, tmp_path: Path):
    with output_dir(tmp_path / "out") as folder, sole_writer(folder):
        with pytest.raises(OutputError, match="Another run is writing into"):
            prepare_folder(photos, folder, size=64)
    assert prepare_folder(photos, folder, size=64).photos


def test_crops_of_photos_that_are_gone_go_too(photos: Path, tmp_path: Path):
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "a.png"):
        (tmp_path / "in" / name).write_bytes((photos / name).read_bytes())
    prepare_folder(tmp_path / "in", tmp_path / "out", size=64)
    (tmp_path / "in" / "a.png").unlink()
    prepare_folder(tmp_path / "in", tmp_path / "out", size=64)
    assert set(contents(tmp_path / "out")) == {"a.png", "conf_map/a.npy", "dataset.json", "report.json"}


def test_worker_that_is_killed_is_explained(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def killed(*_: object) -> None:
        raise workers.BrokenProcessPool

    monkeypatch.setattr(workers.ProcessPoolExecutor, "submit", killed)
    with pytest.raises(ThreeDPSPError, match="goes on where it was"):
        prepare_folder(photos, tmp_path / "out", size=64, workers=2)


def test_names_of_mirrored_copies_stay_free():
    assert output_names([Path("a.jpg"), Path("a_mirror.jpg")]) == ["a", "a_mirror_jpg"]
    assert output_names([Path("x/a.jpg"), Path("y/a.jpg"), Path("b.png")]) == ["x_a_jpg", "y_a_jpg", "b"]


def test_crop_settings_change_the_stamp():
    settings = photo_jobs.CropSettings()
    others = [photo_jobs.CropSettings(face="all"), photo_jobs.CropSettings(size=64)]
    others += [photo_jobs.CropSettings(mirrored_copies=True), photo_jobs.CropSettings(border="mirror")]
    assert len({settings.stamp(), *(other.stamp() for other in others)}) == 5


def test_progress_says_rate_and_time_left():
    bar = ProgressBar(Prepare(quiet=True), "prepare")
    assert bar.text(300, 759, 20.0) == "prepare 300/759  15.0/s  0:31 left"
    assert bar.text(10, 100_000, 1.0) == "prepare 10/100000  10.0/s  2:46:39 left"
