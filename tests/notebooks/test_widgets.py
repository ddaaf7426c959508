"""The viewer's pictures without a front end, and the viewer with its controls moved by hand."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import sys
from datetime import datetime

import numpy as np
import pytest
import torch
from PIL import Image

import threedpsp
from tests.core.small_networks import small_generator
from threedpsp.camera import Camera
from threedpsp.eg3d.generator import Generator
from threedpsp.errors import InputError, MissingDependencyError, WeightsError
from threedpsp.types import FaceCrop, Inversion, WPlus
from threedpsp.widgets import HeadViews, viewer


@pytest.fixture(scope="module")
def generator() -> Generator:
    return small_generator()


def a_head(generator: Generator, steps: int = 2) -> Inversion:
    """A head with its steps, each another sample; the last is the head itself."""
    heads = [threedpsp.random_head(generator, seed) for seed in range(steps)]
    made = tuple((head.latent.ws, torch.zeros(1, 3, 8, 8)) for head in heads)
    return dataclasses.replace(heads[-1], steps=made)


def a_crop() -> FaceCrop:
    image = torch.zeros(1, 3, 64, 64)
    image[:, 0] = 1
    return FaceCrop(image, Camera.frontal())


def test_pictures_have_the_side_that_was_asked_for(generator: Generator):
    views = HeadViews(generator, a_head(generator), a_crop())
    assert views.picture(side=200).shape == (200, 200, 3)
    assert views.picture(side=200, quick=True).shape == (200, 200, 3)
    assert views.picture(side=200, depth=True).shape == (200, 200, 3)


def test_full_picture_is_the_renderers_own(generator: Generator):
    head = a_head(generator)
    views = HeadViews(generator, head)
    expected = threedpsp.render_views(generator, [head]).image
    side = generator.config.img_resolution
    expected = expected.add(1).mul(127.5).round()[0].permute(1, 2, 0).numpy()
    # The camera goes through yaw and pitch and back: float32 angles move it by about 1e-7.
    assert np.abs(views.picture(side=side).astype(float) - expected).max() <= 1


def test_turning_changes_the_picture_and_turning_back_restores_it(generator: Generator):
    views = HeadViews(generator, a_head(generator))
    front = views.picture(0, 0, side=32)
    assert (views.picture(25, 0, side=32) != front).any()
    assert (views.picture(0, 15, side=32) != front).any()
    assert np.array_equal(views.picture(0, 0, side=32), front)


def test_stages_are_the_steps_and_the_last_is_the_head(generator: Generator):
    views = HeadViews(generator, a_head(generator, steps=3))
    assert [name for name, _ in views.stages] == ["step 1", "step 2", "step 3"]
    first, last = views.picture(stage=0, side=32), views.picture(stage=2, side=32)
    assert (first != last).any()
    assert np.array_equal(views.picture(side=32), last)


def test_a_refined_head_is_a_stage_of_its_own(generator: Generator):
    head = a_head(generator)
    offset = torch.ones_like(generator.planes(head.latent.ws).features)
    refined = dataclasses.replace(head, plane_offset=offset)
    views = HeadViews(generator, refined)
    assert [name for name, _ in views.stages] == ["step 1", "step 2", "result"]
    assert (views.picture(stage=1, side=32) != views.picture(stage=2, side=32)).any()


def test_a_head_without_steps_can_be_viewed(generator: Generator):
    head = threedpsp.random_head(generator, 3)
    assert [name for name, _ in HeadViews(generator, head).stages] == ["result"]


def test_the_photo_stands_to_the_left(generator: Generator):
    both = HeadViews(generator, a_head(generator), a_crop()).picture(compare=True, side=100)
    assert both.shape == (100, 200, 3)
    assert (both[:, :100, 0] == 255).all() and (both[:, :100, 1] == 128).all()


def test_without_a_photo_comparing_shows_the_head_alone(generator: Generator):
    assert HeadViews(generator, a_head(generator)).picture(compare=True, side=100).shape == (100, 100, 3)


@pytest.mark.parametrize("arguments", [{"stage": 7}, {"yaw_degrees": float("nan")}])
def test_impossible_views_are_refused(generator: Generator, arguments: dict):
    with pytest.raises(InputError):
        HeadViews(generator, a_head(generator)).picture(**arguments)


def test_a_head_of_another_generator_is_refused(generator: Generator):
    stranger = Inversion(WPlus(a_head(generator).latent.ws, "0123456789abcdef"), Camera.frontal())
    with pytest.raises(WeightsError):
        HeadViews(generator, stranger)


def test_missing_ipywidgets_is_one_line_with_the_command(generator: Generator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(MissingDependencyError, match="pip install ipywidgets anywidget") as caught:
        viewer(generator, a_head(generator))
    assert "\n" not in str(caught.value)


def shown(box) -> np.ndarray:
    """The picture that the viewer shows now."""
    return np.asarray(Image.open(io.BytesIO(box.controls["picture"].picture)))


@pytest.fixture
def box(generator: Generator):
    pytest.importorskip("ipywidgets", reason="needs ipywidgets: pip install -e '.[notebooks]'")
    pytest.importorskip("anywidget", reason="needs anywidget: pip install -e '.[notebooks]'")
    return viewer(generator, a_head(generator), a_crop(), side=64)


@pytest.mark.parametrize(
    ("control", "value"), [("yaw", 20.0), ("pitch", 10.0), ("stage", 0), ("depth", True), ("compare", True)]
)
def test_every_control_changes_the_picture(box, control: str, value: object):
    before = shown(box)
    box.controls[control].value = value
    after = shown(box)
    assert after.shape != before.shape or (after != before).any()


def test_dragging_moves_the_sliders_and_the_picture(box):
    before, picture = shown(box), box.controls["picture"]
    picture.yaw_degrees, picture.pitch_degrees = 12.5, -6.0
    assert (box.controls["yaw"].value, box.controls["pitch"].value) == (12.5, -6.0)
    assert (shown(box) != before).any()


def test_the_picture_is_coarse_while_it_moves_and_full_when_it_rests(generator: Generator, box):
    async def move() -> tuple[np.ndarray, np.ndarray]:
        box.controls["yaw"].value = 20.0
        moving = shown(box)
        await asyncio.sleep(1.5)
        return moving, shown(box)

    moving, resting = asyncio.run(move())
    views = HeadViews(generator, a_head(generator))
    assert np.array_equal(moving, views.picture(20, quick=True, side=64))
    assert np.array_equal(resting, views.picture(20, side=64))


def test_a_generator_alone_takes_no_other_photo(box):
    buttons = [child for row in box.children for child in getattr(row, "children", ())]
    assert box.controls["depth"] in buttons
    assert box.controls["upload"] not in buttons


def test_an_unusable_upload_is_reported_and_the_head_stays(tmp_path):
    pytest.importorskip("anywidget", reason="needs anywidget: pip install -e '.[notebooks]'")
    from tests.core.small_model import save_small_model

    folder = save_small_model(tmp_path)
    pipeline = threedpsp.load(folder / "generator.safetensors", encoder=folder / "encoder.safetensors", device="cpu")
    box = viewer(pipeline, a_head(pipeline.generator), side=64)
    before = shown(box)
    upload = {
        "name": "x.jpg",
        "type": "image/jpeg",
        "size": 3,
        "content": memoryview(b"abc"),
        "last_modified": datetime.now(),
    }
    box.controls["upload"].value = (upload,)
    assert "Inverting" not in box.controls["status"].value and box.controls["status"].value
    assert np.array_equal(shown(box), before)
