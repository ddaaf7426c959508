"""Prepared data sets by number: folders and zips, mirrored copies, and faults that are named."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.core.test_prepared_folder import LABEL, published, write_crop
from threedpsp.camera import Camera
from threedpsp.errors import InputError
from threedpsp.preprocessing.dataset import FaceDataset
from threedpsp.preprocessing.file_store import FileStore
from threedpsp.preprocessing.mirror_sigma import load_conf_map


def zipped(folder: Path, archive: Path) -> Path:
    """The folder's files in an archive, as EG3D's tool packs them."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            file.write(path, path.relative_to(folder).as_posix())
    return archive


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_items_are_image_label_uncertainty_and_name(tmp_path: Path, form: str):
    folder = published(tmp_path / "set")
    dataset = FaceDataset(folder if form == "folder" else zipped(folder, tmp_path / "set.zip"))
    assert [dataset[i][3] for i in range(len(dataset))] == ["anna.png", "anna_mirror.png", "bert.png"]
    image, label, sigma, _ = dataset[0]
    pixels = torch.from_numpy(np.array(Image.open(folder / "anna.png"))).permute(2, 0, 1)
    torch.testing.assert_close(image, pixels.float() / 127.5 - 1)
    torch.testing.assert_close(label, torch.tensor(LABEL))
    assert sigma is not None
    torch.testing.assert_close(sigma, load_conf_map(folder / "conf_map" / "anna.npy", 64))
    assert dataset[2][2] is None and not dataset.has_mirror_sigma and dataset.resolution == 64


def test_stored_copy_without_a_map_takes_its_originals_mirrored(tmp_path: Path):
    dataset = FaceDataset(published(tmp_path))
    original, copy = dataset[0][2], dataset[1][2]
    assert original is not None and copy is not None
    torch.testing.assert_close(copy, original.flip(1))


def test_copies_made_on_the_fly_are_the_mirrored_photos(tmp_path: Path):
    dataset = FaceDataset(published(tmp_path), mirrored="added")
    assert len(dataset) == 4 and len(FaceDataset(tmp_path, mirrored="none")) == 2
    image, label, sigma, name = dataset[0]
    other, other_label, other_sigma, other_name = dataset[2]
    assert (name, other_name) == ("anna.png", "anna.png (mirrored)")
    assert sigma is not None and other_sigma is not None
    assert torch.equal(other, image.flip(2)) and torch.equal(other_sigma, sigma.flip(1))
    torch.testing.assert_close(other_label, Camera.from_label(label[None]).mirrored().label[0])
    with pytest.raises(IndexError):
        dataset[4]


def test_larger_crops_are_reduced_and_smaller_ones_refused(tmp_path: Path):
    folder = published(tmp_path)
    assert FaceDataset(folder, resolution=32)[0][0].shape == (3, 32, 32)
    with pytest.raises(InputError, match=r"anna.png has 64 x 64 pixels; at least these are needed: 128 x 128"):
        FaceDataset(folder, resolution=128)[0]
    write_crop(folder / "bert.png", side=48)
    with pytest.raises(InputError, match=r"bert.png has 48 x 48 pixels; the first crop has 64 x 64"):
        FaceDataset(folder)[2]


def test_archive_is_read_by_several_processes(tmp_path: Path):
    dataset = FaceDataset(zipped(published(tmp_path / "set"), tmp_path / "set.zip"))
    here = dataset[0]
    there = pickle.loads(pickle.dumps(dataset))[0]
    assert torch.equal(here[0], there[0]) and here[3] == there[3]
    loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=2)  # type: ignore[arg-type,var-annotated]
    assert [item[3] for item in loader] == ["anna.png", "anna_mirror.png", "bert.png"]


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("empty folder", "no dataset.json"),
        ("no labels", "names none"),
        ("missing crop", "files that are not there: bert.png"),
        ("missing label", "have no camera.*bert.png"),
        ("missing maps", "no stored uncertainty.*bert.png"),
        ("NaN", "label of 'bert.png' is not 25 finite numbers"),
        ("unreadable crop", "bert.png.*not an image"),
        ("cut crop", "bert.png.*damaged or cut off"),
        ("no camera", "bert.png is no camera"),
        ("damaged map", "anna.npy cannot be read"),
        ("short map", "anna.npy cannot be read"),
        ("map of another size", r"anna.npy holds float32 \[4, 4\]"),
    ],
)
def test_faults_are_named(tmp_path: Path, form: str, fault: str, cause: str):
    folder = published(tmp_path / "set")
    labels = {"anna.png": LABEL, "bert.png": LABEL}
    (folder / "anna_mirror.png").unlink()
    if fault in ("empty folder", "no labels"):
        for path in [*folder.glob("*.png"), *folder.glob("conf_map/*")]:
            path.unlink()
        labels = {}
    if fault == "missing crop":
        (folder / "bert.png").unlink()
    if fault == "missing label":
        del labels["bert.png"]
    if fault == "NaN":
        labels["bert.png"] = [float("nan"), *LABEL[1:]]
    if fault == "no camera":
        labels["bert.png"] = [3.0, *LABEL[1:]]
    if fault == "unreadable crop":
        (folder / "bert.png").write_text("no picture")
    if fault == "cut crop":
        (folder / "bert.png").write_bytes((folder / "bert.png").read_bytes()[:3000])
    if fault == "damaged map":
        (folder / "conf_map" / "anna.npy").write_text("no map")
    if fault == "short map":
        (folder / "conf_map" / "anna.npy").write_bytes((folder / "conf_map" / "anna.npy").read_bytes()[:-100])
    if fault == "map of another size":
        np.save(folder / "conf_map" / "anna.npy", np.zeros((4, 4), np.float32))
    (folder / "dataset.json").write_text(json.dumps({"labels": [[k, v] for k, v in labels.items()]}))
    if fault == "empty folder":
        (folder / "dataset.json").unlink()
    source = folder if form == "folder" else zipped(folder, tmp_path / "set.zip")
    with pytest.raises(InputError, match=cause):
        dataset = FaceDataset(source, need_mirror_sigma=fault == "missing maps")
        for index in range(len(dataset)):
            dataset[index]


def test_file_that_vanishes_is_named(tmp_path: Path):
    dataset = FaceDataset(published(tmp_path))
    (tmp_path / "bert.png").unlink()
    with pytest.raises(InputError, match="There is no file .*bert.png"):
        dataset[2]


def test_archive_that_is_none_is_explained(tmp_path: Path):
    (tmp_path / "set.zip").write_text("no archive")
    with pytest.raises(InputError, match="no zip archive that can be read"):
        FaceDataset(tmp_path / "set.zip")
    with pytest.raises(InputError, match="There is no folder or zip archive"):
        FaceDataset(tmp_path / "nowhere")


def test_names_that_lead_out_of_an_archive_are_not_read(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        for name in ("../out.png", "/etc/out.png", "C:/out.png", "a/../../out.png", "good.png", ".hidden.png"):
            file.writestr(name, b"x")
    store = FileStore(tmp_path / "evil.zip")
    assert store.names == ("good.png",) and len(store.unsafe) == 4


def test_zip_bomb_is_refused_without_unpacking_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("threedpsp.preprocessing.file_store.LARGEST_FILE", 1 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", bytes(50 << 20))
    with pytest.raises(InputError, match="larger than 1 MB unpacked"):
        FileStore(tmp_path / "bomb.zip").read("a.png")


def test_header_that_claims_more_than_there_is_takes_no_memory(tmp_path: Path):
    buffer = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 20, 1 << 20)}
    np.lib.format.write_array_header_1_0(buffer, header)
    with pytest.raises(InputError, match="cannot be read"):
        load_conf_map("claims.npy", 64, buffer.getvalue() + bytes(64))
