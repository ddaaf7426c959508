"""What a training reads: the order of the faces, how processes share them, and what becomes of faults in the data."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.core.small_networks import small_generator
from tests.core.training_runs import Portraits, small_config
from threedpsp.camera import Camera
from threedpsp.errors import InputError, ThreeDPSPError
from threedpsp.training.encoders.batches import FaceStream, Share
from threedpsp.training.encoders.photos import Batch, CheckedPhotos, Fault
from threedpsp.training.encoders.rendered import RenderedFaces
from threedpsp.training.encoders.run import train


def stream(photos: Portraits | None, share: float = 0.0, side: int = 64) -> FaceStream:
    checked = None if photos is None else CheckedPhotos(photos, side, needs_sigma=True)
    return FaceStream(checked, RenderedFaces(small_generator(), side, seed=0), share, seed=3)


def test_every_photo_comes_once_a_pass_in_a_new_order():
    faces = stream(Portraits(7))
    passes = [faces.split(range(start, start + 7))[0] for start in (0, 7, 14)]
    assert all(sorted(numbers) == list(range(7)) for numbers in passes)
    assert passes[0] != passes[1] or passes[1] != passes[2]


def test_rendered_faces_have_their_share_and_never_repeat():
    photos, faces = stream(Portraits(7), 0.25).split(range(80))
    assert (len(photos), faces) == (60, list(range(20)))
    assert stream(None).split(range(5)) == ([], [0, 1, 2, 3, 4])


def test_parts_of_two_processes_are_the_batch_of_one():
    whole = list(Share(8).positions(5, 0))
    parts = [Share(8, 2, rank, 2).positions(5, part) for part in range(2) for rank in range(2)]
    assert list(itertools.chain(*parts)) == whole
    with pytest.raises(InputError, match="multiple of 6"):
        Share(8, 3, 0, 2)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_stream_that_begins_later_goes_on_as_the_whole_one(workers: int):
    share = Share(2)
    whole = list(itertools.islice(stream(Portraits(5), 0.5).parts(share, 0), 5))
    late = list(itertools.islice(stream(Portraits(5), 0.5).parts(share, 3, workers), 2))
    for a, b in zip(whole[3:], late, strict=True):
        assert isinstance(a, Batch) and isinstance(b, Batch)
        assert a.names == b.names
        assert torch.equal(a.image, b.image)


def test_rendered_faces_have_exact_cameras_and_true_second_views():
    generator = small_generator()
    faces = RenderedFaces(generator, 64, seed=0)
    batch = faces.batch([4, 9])
    again = faces.batch([9])
    torch.testing.assert_close(batch.image[1:], again.image, atol=0.01, rtol=0)  # pictures have 8 bits
    assert not torch.allclose(batch.image[0], batch.image[1])
    other = RenderedFaces(generator, 64, seed=0, purpose="validation").batch([4])
    assert not torch.equal(other.camera.label, batch.camera.label[:1])
    flipped = RenderedFaces(generator, 64, seed=0, exact=False).batch([4])
    assert torch.equal(flipped.mirror_image, flipped.image.flip(3))
    assert not torch.equal(batch.mirror_image[:1], flipped.mirror_image)


def test_certainty_falls_with_the_uncertainty_of_the_flip():
    sigma = torch.zeros(128, 128)
    sigma[:, :64] = 3.0
    item = (torch.zeros(3, 128, 128), Camera.frontal().label[0], sigma)
    (batch,) = [CheckedPhotos(Portraits(1, faults={0: item}), 64, needs_sigma=True)[0]]
    assert isinstance(batch, Batch)
    assert batch.image.shape == (1, 3, 64, 64)
    torch.testing.assert_close(batch.mirror_certainty[0, 0, 5, :], torch.tensor([0.25] * 32 + [1.0] * 32))


def _item(**changes: object) -> tuple:
    parts = {"image": torch.zeros(3, 64, 64), "label": Camera.frontal().label[0], "sigma": torch.zeros(64, 64)}
    return tuple({**parts, **changes}.values())


FAULTS = {
    "NaN in the label": (_item(label=torch.full((25,), torch.nan)), "camera of 000.png is not 25 finite numbers"),
    "label cut off": (_item(label=torch.zeros(16)), "camera of 000.png"),
    "too small": (_item(image=torch.zeros(3, 32, 32)), "000.png has 32 pixels a side.*--loss-side 32"),
    "not square": (_item(image=torch.zeros(3, 64, 60)), r"000.png is \[3, 64, 60\]"),
    "no conf map": (_item(sigma=None), "000.png has no uncertainty of its flip.*--missing-sigma certain"),
    "conf map of NaN": (_item(sigma=torch.full((64, 64), torch.nan)), "uncertainty of the flip of 000.png"),
    "pixels of NaN": (_item(image=torch.full((3, 64, 64), torch.nan)), "000.png holds pixels"),
    "unreadable": (InputError("000.png is damaged or cut off."), "000.png is damaged"),
    "gone": (FileNotFoundError(2, "No such file"), "Photo 0 .* cannot be read"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("workers", [0])
def test_faults_in_the_data_are_named_without_a_stack_trace(name: str, workers: int):
    fault, message = FAULTS[name]
    found = CheckedPhotos(Portraits(1, faults={0: fault}), 64, needs_sigma=True)[0]
    assert isinstance(found, Fault)
    assert "Traceback" not in found.message
    with pytest.raises(InputError, match=message):
        raise InputError(found.message)


def test_a_fault_in_a_worker_process_is_a_plain_message():
    faulty = Portraits(3, faults={1: InputError("001.png is damaged or cut off.")})
    parts = list(itertools.islice(stream(faulty).parts(Share(3), 0, workers=1), 1))
    assert parts == [Fault("001.png is damaged or cut off.")]


@pytest.mark.parametrize(
    ("count", "settings", "message"),
    [
        (0, {}, "holds no prepared photo"),
        (1, {}, "batch of 2 is larger than the training set.*holds one photo.*--batch 1"),
        (3, {"batch": 8}, "batch of 8 is larger than the training set.*holds 3 photos"),
        (3, {"validation_rendered": 0}, "Nothing to validate on"),
    ],
)
def test_sets_that_do_not_suffice_are_refused(count: int, settings: dict, message: str, tmp_path: Path):
    config = small_config(tmp_path, photos=Path("faces"), **settings)
    with pytest.raises(InputError, match=message):
        train(config, print, lambda _: Portraits(count))


def test_an_unreadable_photo_in_mid_training_stops_with_what_was_done_saved(tmp_path: Path):
    config = small_config(tmp_path, method="psp", photos=Path("faces"), batch=1, steps=9, ema_decay=0.0)
    faulty = Portraits(6, faults={n: InputError(f"{n:03d}.png is damaged or cut off.") for n in (4, 5)})
    with pytest.raises(InputError, match=r"00[45].png is damaged.*stopped at step \d, which is saved"):
        train(config, print, lambda _: faulty)
    lines: list[str] = []
    train(config, lines.append, lambda _: Portraits(6))
    assert any(line.startswith("resumed at step") for line in lines)


def test_all_validation_photos_count_once_and_a_faulty_one_is_named(tmp_path: Path):
    config = small_config(tmp_path, method="psp", validation=Path("faces"), steps=1, batch=2)
    photos = Portraits(5)
    lines: list[str] = []
    train(config, lines.append, lambda _: photos)
    assert sorted(photos.read[-5:]) == [0, 1, 2, 3, 4]  # before them, those of the picture
    assert any("validation on 5 images" in line for line in lines)
    faulty = Portraits(2, faults={1: InputError("001.png is damaged.")})
    with pytest.raises(InputError, match=r"Validation: 001.png is damaged"):
        train(small_config(tmp_path, output=tmp_path / "other", validation=Path("faces"), method="psp"), print,
              lambda _: faulty)  # fmt: skip


def test_a_prepared_folder_is_read_as_it_is(tmp_path: Path):
    folder = tmp_path / "prepared"
    (folder / "conf_map").mkdir(parents=True)
    labels = []
    for name in ("a", "b"):
        Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(folder / f"{name}.png")
        np.save(folder / "conf_map" / f"{name}.npy", np.full((256, 256), 0.5, np.float32))
        labels.append([f"{name}.png", Camera.frontal().label[0].tolist()])
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    result = train(small_config(tmp_path, photos=folder, steps=1), print)
    assert result.step == 1
    (folder / "b.png").write_bytes(b"no picture")
    with pytest.raises(ThreeDPSPError, match=r"b\.png"):
        train(small_config(tmp_path, photos=folder, steps=5), print)
    with pytest.raises(InputError, match="There is no folder or zip"):
        train(small_config(tmp_path, output=tmp_path / "new", photos=tmp_path / "nowhere"), print)
