"""People who do not exist: points, mesh and camera go with the picture, and a seed says who they are."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.core.generated_portraits import generated_portraits
from tests.core.small_networks import small_generator
from tests.core.training_runs import Portraits
from threedpsp.errors import InputError
from threedpsp.preprocessing.pose import estimate_camera
from threedpsp.training.augment.make import Maker, as_set, main
from threedpsp.training.augment.morph import posed
from threedpsp.training.augment.occluders import with_glasses, with_occluder
from threedpsp.training.augment.people import person
from threedpsp.training.augment.photometric import Photometric, changed
from threedpsp.training.augment.plan import Mix
from threedpsp.training.augment.scene import lit, with_backdrop
from threedpsp.training.augment.shapes import ShapeChange, reshaped
from threedpsp.training.augment.warp import bent, warp_field
from threedpsp.training.batches import Augmentation, PortraitBatches
from threedpsp.training.encoders.batches import FaceStream, Share
from threedpsp.training.encoders.photos import Batch, CheckedPhotos
from threedpsp.training.encoders.rendered import RenderedFaces
from threedpsp.training.losses import projected
from threedpsp.training.portraits import SIDE, PortraitSet

EVERYTHING = Mix(alone=0.0, three=0.5, backdrop=1.0, light=1.0, occluder=1.0, glasses=1.0)


@pytest.fixture(scope="module")
def people() -> PortraitSet:
    return generated_portraits(8)


@pytest.fixture(scope="module")
def maker(people: PortraitSet) -> Maker:
    made = Maker.of(people, seed=1, mix=EVERYTHING)
    everyone_lends = dataclasses.replace(
        made.traits, glasses=np.zeros(len(people)), covered=np.zeros(len(people)), yaw=np.zeros(len(people))
    )
    return dataclasses.replace(made, traits=everyone_lends)


def test_seed_and_number_alone_say_who_it_is(maker: Maker) -> None:
    first = [maker.make(number) for number in (0, 1, 2)]
    again = [maker.make(number) for number in (2, 0)]
    for one, other in ((first[2], again[0]), (first[0], again[1])):
        assert np.array_equal(one.picture, other.picture) and np.array_equal(one.points, other.points)
    other_seed = dataclasses.replace(maker, seed=2).make(0)
    assert not np.array_equal(first[0].points, other_seed.points)


def test_mesh_camera_and_landmarks_of_made_people_agree(maker: Maker) -> None:
    made = [maker.make(number) for number in range(5)]
    assert any(maker.plan(number).donors for number in range(5))
    result = as_set(made, maker.people)
    error = projected(result.mesh, result.camera, SIDE) - result.landmarks[:, :468]
    assert error.norm(dim=-1).max() < 0.05  # pixels of 256
    estimated = estimate_camera(result.landmarks / SIDE)
    assert (estimated.cam2world - result.camera.cam2world).abs().max() < 1e-4
    assert ((result.depth > 0).float().mean((1, 2)) > 0.15).all()
    middle = result.mesh.mean((0, 1)) - maker.people.mesh.mean((0, 1))
    assert middle.norm() < 0.05  # heads stay where heads are


def test_made_pictures_are_pictures(maker: Maker) -> None:
    result = as_set([maker.make(number) for number in range(3)], maker.people)
    assert result.image.shape == (3, 3, SIDE, SIDE) and result.image.dtype == torch.uint8
    assert (result.image.float().std((1, 2, 3)) > 10).all()
    assert ((result.mask > 127).float().mean((1, 2)) > 0.2).all()
    assert not result.large.any(), "of small photos"


def test_a_dot_on_the_face_goes_where_its_landmark_goes(maker: Maker) -> None:
    host = person(maker.people, 3)
    change = ShapeChange(jaw_width=0.1, nose_length=0.14, eye_distance=0.07, face_length=0.06, nose_width=0.18)
    face = posed(reshaped(host.mesh, change, maker.canvas.mean).astype(np.float32), host)
    distance = np.linalg.norm(face.mesh - face.camera.position[0].numpy(), axis=1)
    field = warp_field(host.points[:468], face.points[:468], distance, maker.canvas.triangles)
    steps = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid(steps, steps)
    for point in (4, 50, 280, 152, 13, 33):
        old, new = host.points[point], face.points[point]
        dot = np.exp(-((x - old[0]) ** 2 + (y - old[1]) ** 2) / (2 * 0.012**2)).astype(np.float32)
        moved = bent(dot[..., None], field, SIDE)[..., 0].clip(0)
        centre = np.array([(moved * x).sum(), (moved * y).sum()]) / moved.sum()
        assert np.linalg.norm(centre - new) * SIDE < 0.7, point
    assert np.linalg.norm(face.points[152] - host.points[152]) * SIDE > 1, "it moves at all"


def test_the_frame_of_a_picture_stays_where_it_is(maker: Maker) -> None:
    host = person(maker.people, 2)
    target = host.points[:468] + np.float32([0.02, 0.0])
    distance = np.linalg.norm(host.mesh - host.camera.position[0].numpy(), axis=1)
    field = warp_field(host.points[:468], target, distance, maker.canvas.triangles)
    assert np.abs(field[[0, -1]]).max() < 0.002 and np.abs(field[:, [0, -1]]).max() < 0.002


def test_light_glasses_and_things_before_the_face_change_what_they_should(maker: Maker) -> None:
    host, random = person(maker.people, 4), np.random.default_rng(0)
    bright = lit(host, 1.0, 0.0, 0.4, maker.canvas.triangles).picture - host.picture
    middle = host.points[:468].mean(0) * SIDE
    row, column = int(middle[1]), int(middle[0])
    right, left = bright[row, column + 25 : column + 45].mean(), bright[row, column - 45 : column - 25].mean()
    assert right > left + 0.03 and bright.max() < 0.2
    worn = np.abs(with_glasses(host, random).picture - host.picture).mean(2)
    assert worn[: int(host.points[1, 1] * SIDE)].max() > 0.2 > worn[int(host.points[13, 1] * SIDE) :].max()
    covered = with_occluder(host, random)
    assert (covered.mask - host.mask).min() >= 0
    assert np.abs(covered.picture - host.picture).max() > 0.1


def test_another_backdrop_leaves_the_face_alone(maker: Maker) -> None:
    host, other = person(maker.people, 0), person(maker.people, 5)
    sure = (host.mask > 0.5).astype(np.float32)
    host, other = dataclasses.replace(host, mask=sure), dataclasses.replace(other, picture=other.picture[::-1].copy())
    changed_backdrop = np.abs(with_backdrop(host, other, 0.01).picture - host.picture).mean(2)
    x, y = (host.points[4] * SIDE).astype(int)
    assert changed_backdrop[y - 10 : y + 10, x - 10 : x + 10].max() < 1e-6
    assert changed_backdrop[:10].max() > 0.02


def test_the_command_writes_a_bundle_and_a_sheet(people: PortraitSet, tmp_path: Path) -> None:
    people.save(tmp_path / "people.safetensors")
    main(tmp_path / "people.safetensors", tmp_path / "made.safetensors", tmp_path / "sheet.png", count=4, seed=1)
    made = PortraitSet.load(tmp_path / "made.safetensors")
    assert made.names == ("made/1_00000", "made/1_00001", "made/1_00002", "made/1_00003")
    assert Image.open(tmp_path / "sheet.png").size == (384, 384)
    both = PortraitSet.cat([people, made])
    assert len(both) == 12 and both.take([9]).names == ("made/1_00001",)
    with pytest.raises(InputError, match="Nothing to write"):
        main(tmp_path / "people.safetensors")
    with pytest.raises(InputError, match="Nobody is called someone"):
        main(tmp_path / "people.safetensors", tmp_path / "made.safetensors", hosts_only=("someone",))


def test_making_people_needs_neither_mediapipe_nor_its_model(people: PortraitSet, tmp_path: Path) -> None:
    people.save(tmp_path / "people.safetensors")
    script = (
        "import sys, pathlib\n"
        "sys.modules['mediapipe'] = None\n"
        "from threedpsp.preprocessing import landmark_model\n"
        "landmark_model._candidates = lambda: []\n"
        "from threedpsp.training.augment.make import main\n"
        "main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), count=1)\n"
    )
    arguments = [str(tmp_path / name) for name in ("people.safetensors", "made.safetensors")]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True)


def test_light_and_colour_follow_from_each_pictures_seed() -> None:
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    everything = Photometric(blur=1.0, noise=1.0, jpeg=1.0)
    one, sharp = changed(images, [5, 6, 7], everything)
    other, _ = changed(images[[2, 0]], [7, 5], everything)
    assert (one[[2, 0]] - other).abs().max() < 1e-6
    assert one.min() >= -1 and one.max() <= 1 and not sharp.any()
    nothing = Photometric(*(0.0 for _ in dataclasses.fields(Photometric)))
    same, sharp = changed(images * 0.6, [5, 6, 7], nothing)
    assert (same - images * 0.6).abs().max() < 1e-4 and sharp.all()


def test_a_seed_alone_decides_how_a_person_is_changed(people: PortraitSet) -> None:
    augmentation = Augmentation(photometric=Photometric())
    one, other = (PortraitBatches(people, people.mirror_points, seed) for seed in (4, 9))
    whole = one.make(torch.tensor([6, 7, 3]), augmentation, seeds=[1, 2, 3])
    part = other.make(torch.tensor([3]), augmentation, seeds=[3])
    assert (whole.large_image[2] - part.large_image[0]).abs().max() < 1e-5
    assert (whole.camera.label[2] - part.camera.label[0]).abs().max() < 1e-6
    changed_again = other.make(torch.tensor([3]), augmentation, seeds=[4])
    assert (changed_again.large_image - part.large_image).abs().max() > 0.05


@pytest.mark.parametrize("workers", [0, 1])
def test_photos_of_an_encoders_training_look_otherwise_each_time_and_resume(workers: int) -> None:
    def stream(augment: bool) -> FaceStream:
        photos = CheckedPhotos(Portraits(2), 64, needs_sigma=True)
        return FaceStream(photos, RenderedFaces(small_generator(), 64, seed=0), 0.0, seed=3, augment=augment)

    whole = list(itertools.islice(stream(True).parts(Share(2), 0), 4))
    late = list(itertools.islice(stream(True).parts(Share(2), 2, workers), 2))
    plain = list(itertools.islice(stream(False).parts(Share(2), 0), 4))
    for a, b in zip(whole[2:], late, strict=True):
        assert isinstance(a, Batch) and isinstance(b, Batch)
        assert torch.equal(a.image, b.image) and torch.equal(a.mirror_certainty, b.mirror_certainty)
    looks = []
    for a, b in zip(whole, plain, strict=True):
        assert isinstance(a, Batch) and isinstance(b, Batch)
        assert a.names == b.names and torch.equal(a.camera.label, b.camera.label)
        assert not torch.equal(a.image, b.image)
        assert torch.equal(a.mirror_image, a.image.flip(3)) and a.image.abs().max() <= 1
        looks += [image for name, image in zip(a.names, a.image, strict=True) if name == whole[0].names[0]]
    assert len(looks) == 4 and all(not torch.equal(looks[0], look) for look in looks[1:])
