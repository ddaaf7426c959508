"""Photo to frames with a small random model: the parts fit, planes serve all cameras, wrong latents are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import threedpsp
from tests.core.small_model import save_small_model
from threedpsp.camera import Camera
from threedpsp.encoder.refine import RefineConfig
from threedpsp.errors import InputError, WeightsError
from threedpsp.pipeline import Pipeline
from threedpsp.types import FaceCrop, Inversion, WPlus


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return threedpsp.load(save_small_model(tmp_path_factory.mktemp("model")), device="cpu")


@pytest.fixture(scope="module")
def crop() -> FaceCrop:
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return FaceCrop(image, Camera.orbit(8.0, -4.0))


@pytest.fixture(scope="module")
def inversion(pipeline: Pipeline, crop: FaceCrop) -> Inversion:
    return pipeline.invert(crop, steps=3, likeness="none")


def test_invert_reports_every_step(pipeline: Pipeline, crop: FaceCrop):
    seen: list[tuple[str, int, int]] = []
    pipeline.invert(crop, steps=3, likeness="none", on_progress=lambda *step: seen.append(step))
    assert seen == [("encode", 1, 3), ("encode", 2, 3), ("encode", 3, 3)]


def test_the_same_photo_gives_the_same_latent(pipeline: Pipeline, crop: FaceCrop, inversion: Inversion):
    assert torch.equal(pipeline.invert(crop, steps=3, likeness="none").latent.ws, inversion.latent.ws)


def test_refining_is_part_of_invert_when_asked_for(pipeline: Pipeline, crop: FaceCrop):
    config = RefineConfig(steps=2, perceptual_weight=0, identity_weight=0, novel_weight=0)
    seen: list[str] = []
    refined = pipeline.invert(crop, steps=1, refine=config, on_progress=lambda stage, *_: seen.append(stage))
    assert refined.info["refine"]["steps"] == 2
    assert seen[0] == "encode" and seen[-1] == "refine"


def test_photos_camera_shows_the_inversions_render(pipeline: Pipeline, inversion: Inversion):
    (view,) = pipeline.render(inversion, inversion.camera)
    torch.testing.assert_close(view.image, inversion.render.image, rtol=0, atol=1e-5)


def test_one_render_per_camera_whatever_the_chunk(pipeline: Pipeline, inversion: Inversion):
    """Batches go through the same arithmetic; sums in another order differ by less than 1e-5 (seen: 2e-6)."""
    cameras = threedpsp.camera_path("swing", 5, inversion.camera)
    one = [view.image for view in pipeline.render(inversion, cameras)]
    three = [view.image for view in pipeline.render(inversion, cameras, chunk=3)]
    assert [image.shape for image in one] == [(1, 3, 64, 64)] * 5
    torch.testing.assert_close(torch.cat(one), torch.cat(three), rtol=0, atol=1e-5)
    assert not torch.allclose(one[0], one[2])


def test_tuned_weights_are_used(pipeline: Pipeline, inversion: Inversion):
    name, value = next(iter(pipeline.generator.decoder.named_parameters()))
    tuned = dataclasses.replace(inversion, generator_delta={f"decoder.{name}": torch.ones_like(value)})
    (plain,), (other,) = (pipeline.render(i, inversion.camera) for i in (inversion, tuned))
    assert not torch.allclose(plain.image, other.image)
    (again,) = pipeline.render(inversion, inversion.camera)
    assert torch.equal(again.image, plain.image)  # the pipeline's own generator is untouched


def test_plane_offset_is_used(pipeline: Pipeline, inversion: Inversion):
    shape = pipeline.generator.planes(inversion.latent.ws).features.shape
    moved = dataclasses.replace(inversion, plane_offset=torch.ones(shape))
    (plain,), (other,) = (pipeline.render(i, inversion.camera) for i in (inversion, moved))
    assert not torch.allclose(plain.image, other.image)


def test_near_and_far_move_with_the_camera(pipeline: Pipeline, inversion: Inversion):
    """From twice as far with twice the focal length, the head is neither clipped nor missed: depth grows as much."""
    near = inversion.camera
    far = threedpsp.camera_path("dolly", 1, near)
    moved = (far.position.norm() - near.position.norm()).item()
    (a,), (b,) = (pipeline.render(inversion, camera) for camera in (near, far))
    assert (b.image_depth - a.image_depth).mean().item() == pytest.approx(moved, abs=0.1)


def test_frames_are_pictures_of_the_size_asked_for(pipeline: Pipeline, inversion: Inversion):
    seen: list[int] = []
    cameras = threedpsp.camera_path("swing", 3, inversion.camera)
    frames = list(pipeline.frames(inversion, cameras, side=100, on_progress=lambda _, done, total: seen.append(done)))
    assert [(f.shape, str(f.dtype)) for f in frames] == [((100, 100, 3), "uint8")] * 3
    assert seen == [1, 2, 3]


def test_latent_of_another_generator_is_refused(pipeline: Pipeline, inversion: Inversion):
    other = dataclasses.replace(inversion, latent=WPlus(inversion.latent.ws, "another"))
    with pytest.raises(WeightsError, match="belongs to generator another"):
        pipeline.render(other, inversion.camera)


def test_several_photos_at_once_are_refused(pipeline: Pipeline, inversion: Inversion):
    two = WPlus(inversion.latent.ws.expand(2, -1, -1), inversion.latent.generator)
    other = dataclasses.replace(inversion, latent=two)
    with pytest.raises(InputError, match="one photo"):
        pipeline.render(other, inversion.camera)


def test_saved_inversion_renders_the_same(pipeline: Pipeline, inversion: Inversion, tmp_path: Path):
    threedpsp.save_inversion(tmp_path / "a.safetensors", inversion)
    loaded = threedpsp.load_inversion(tmp_path / "a.safetensors")
    (a,), (b,) = (pipeline.render(i, inversion.camera) for i in (inversion, loaded))
    assert torch.equal(a.image, b.image)


def test_unknown_model_lists_what_there_is():
    with pytest.raises(WeightsError, match="one of: tiny"):
        threedpsp.load("huge")
