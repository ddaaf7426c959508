"""People to learn from: their file, its size, and that it needs nothing but Pillow, numpy, scipy and torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.core.generated_portraits import generated_portraits
from threedpsp.errors import InputError
from threedpsp.training.batches import NONE, Augmentation, PortraitBatches
from threedpsp.training.losses import projected
from threedpsp.training.mesh_paint import depth_maps
from threedpsp.training.portraits import LARGE_SIDE, SIDE, PortraitSet
from threedpsp.training.read_portraits import folder_names


@pytest.fixture(scope="module")
def people() -> PortraitSet:
    made = generated_portraits(6)
    return dataclasses.replace(made, source_side=torch.tensor([190.0, 500, 500, 190, 190, 800]))


@pytest.fixture(scope="module")
def bundle(people: PortraitSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people") / "people.safetensors"
    people.save(path)
    return path


def test_people_come_back_from_their_file(people: PortraitSet, bundle: Path) -> None:
    loaded = PortraitSet.load(bundle)
    assert loaded.names == people.names
    assert torch.equal(loaded.mask, people.mask)
    assert torch.equal(loaded.label, people.label)
    assert torch.equal(loaded.mirror_points, people.mirror_points) and torch.equal(loaded.triangles, people.triangles)
    assert (loaded.landmarks - people.landmarks).abs().max() < 0.05
    assert (loaded.mesh - people.mesh).abs().max() < 0.0005
    assert (loaded.image.float() - people.image.float()).abs().mean() < 4
    assert loaded.large.tolist() == [False, True, True, False, False, True]


def test_a_file_is_small(people: PortraitSet, bundle: Path) -> None:
    assert bundle.stat().st_size / len(people) < 20 * 2**20 / 889


def test_larger_pictures_can_be_stored_and_read(people: PortraitSet, tmp_path: Path) -> None:
    large = np.kron(people.image[1].permute(1, 2, 0).numpy(), np.ones((2, 2, 1), np.uint8))[:LARGE_SIDE, :LARGE_SIDE]
    people.take([0, 1]).save(tmp_path / "two.safetensors", [people.image[0].permute(1, 2, 0).numpy(), large], 95)
    loaded = PortraitSet.load(tmp_path / "two.safetensors", LARGE_SIDE).image
    assert loaded.shape == (2, 3, LARGE_SIDE, LARGE_SIDE)
    assert (loaded[1].permute(1, 2, 0).float() - torch.from_numpy(large).float()).abs().mean() < 3


def test_the_depth_is_that_of_the_mesh_where_it_is_met(people: PortraitSet) -> None:
    depth = depth_maps(people.landmarks / SIDE, people.mesh, people.camera, people.triangles).float()
    rows = projected(people.mesh, people.camera, 128).long()
    for i in range(len(people)):
        x, y = rows[i, [4, 151, 199]].T  # tip of the nose, forehead, chin
        far = (people.mesh[i, [4, 151, 199]] - people.camera.position[i]).norm(dim=1)
        assert (depth[i, y, x] - far).abs().max() < 0.02
        assert depth[i, 0].max() == 0
    assert 0.2 < (depth > 0).float().mean() < 0.6


def test_a_batch_has_each_picture_at_two_sizes(people: PortraitSet) -> None:
    batches = PortraitBatches(people, people.mirror_points, seed=0)
    batch = batches.make(torch.arange(6), NONE)
    stored = people.image.float() / 127.5 - 1
    assert (batch.large_image - stored).abs().max() < 1e-4
    moved = batches.make(torch.arange(6), Augmentation(flip=1.0))
    for one in (batch, moved):
        assert one.large_image.shape == (6, 3, 256, 256) and one.large.tolist() == people.large.tolist()
        small = torch.nn.functional.avg_pool2d(one.large_image, 2)
        assert (small - one.image).abs().max() < 1e-5


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"label": torch.zeros(1, 25)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="no pictures inside"):
        PortraitSet.load(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="does not exist"):
        PortraitSet.load(tmp_path / "none.safetensors")


def test_names_tell_the_folders_apart(tmp_path: Path) -> None:
    folders = [tmp_path / "portraits" / "val", tmp_path / "faces" / "val"]
    assert folder_names(folders) == ["portraits/val", "faces/val"]
    assert folder_names(folders[:1]) == ["val"]
    with pytest.raises(InputError, match="twice"):
        folder_names([folders[0], folders[0]])


def test_loading_and_drawing_need_neither_mediapipe_nor_its_model(bundle: Path) -> None:
    script = (
        "import sys, pathlib, torch\n"
        "sys.modules['mediapipe'] = None\n"
        "from threedpsp.preprocessing import landmark_model\n"
        "landmark_model._candidates = lambda: []\n"
        "from threedpsp.training.portraits import PortraitSet\n"
        "from threedpsp.training.batches import Augmentation, PortraitBatches\n"
        "people = PortraitSet.load(pathlib.Path(sys.argv[1]))\n"
        "batches = PortraitBatches(people, people.mirror_points, seed=0)\n"
        "assert len(batches.make(torch.tensor([0, 1]), Augmentation())) == 2\n"
    )
    subprocess.run([sys.executable, "-c", script, str(bundle)], check=True)
