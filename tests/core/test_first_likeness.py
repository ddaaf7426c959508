"""A first likeness: part of inverting by default on small generators, the same each time, for each photo of a batch."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

import threedpsp
from tests.core.small_model import save_small_model
from threedpsp.camera import Camera
from threedpsp.encoder.first_likeness import check_likeness, wants_first_likeness
from threedpsp.encoder.inversion import invert
from threedpsp.encoder.refine_config import HANDFUL
from threedpsp.errors import InputError
from threedpsp.pipeline import Pipeline
from threedpsp.types import FaceCrop, Inversion

STEPS = 1


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return threedpsp.load(save_small_model(tmp_path_factory.mktemp("model")), device="cpu")


@pytest.fixture(scope="module")
def crops(pipeline: Pipeline) -> FaceCrop:
    """Two people that the generator itself drew, seen from the side, enlarged as photos are."""
    generator, cameras = pipeline.generator, Camera.orbit(torch.tensor([10.0, -6.0]), torch.tensor([3.0, 0.0]))
    with torch.no_grad():
        z = torch.randn(2, generator.config.z_dim, generator=torch.Generator().manual_seed(7))
        image = generator.synthesis(generator.mapping(z, generator.frontal_camera), cameras).image
    landmarks = torch.rand(2, 478, 2, generator=torch.Generator().manual_seed(1)) * 128
    landmarks[:, [263, 362, 33, 133, 2]] = torch.tensor([[90.0, 50], [72, 51], [40, 50], [56, 51], [64, 76]])
    return FaceCrop(F.interpolate(image, scale_factor=2, mode="bilinear"), cameras, landmarks=landmarks)


@pytest.fixture(scope="module")
def system(pipeline: Pipeline, crops: FaceCrop) -> Inversion:
    return pipeline.invert(crops, steps=STEPS, likeness="none")


@pytest.fixture(scope="module")
def likeness(pipeline: Pipeline, crops: FaceCrop) -> Inversion:
    return pipeline.invert(crops, steps=STEPS, likeness="instant")


def error(pipeline: Pipeline, head: Inversion, crop: FaceCrop) -> float:
    """Mean squared error of what the head renders from its photo's camera, from its parts alone."""
    (view,) = pipeline.render(dataclasses.replace(head, render=None), head.camera)
    return (view.image - F.avg_pool2d(crop.image, 2)).square().mean().item()


def test_each_head_comes_measurably_closer_to_its_own_photo(
    pipeline: Pipeline, crops: FaceCrop, system: Inversion, likeness: Inversion
):
    for index, (before, after) in enumerate(zip(system.split(), likeness.split(), strict=True)):
        assert error(pipeline, after, crops[index]) < 0.5 * error(pipeline, before, crops[index])
    assert likeness.generator_delta is None and likeness.plane_offset is not None
    assert likeness.info["likeness"]["updates"] == HANDFUL and "refine" not in likeness.info
    assert likeness.info["encoder_steps"] == STEPS and len(likeness.steps) == STEPS


def test_none_is_exactly_the_system(pipeline: Pipeline, crops: FaceCrop, system: Inversion):
    alone = invert(pipeline.encoder, pipeline.generator, crops.image, crops.camera, STEPS)
    assert torch.equal(system.latent.ws, alone.latent.ws)
    assert system.render is not None and alone.render is not None
    assert torch.equal(system.render.image, alone.render.image)
    assert system.plane_offset is None and "likeness" not in system.info


def test_a_batch_is_its_photos_one_by_one(pipeline: Pipeline, crops: FaceCrop, likeness: Inversion):
    assert likeness.render is not None
    for index, head in enumerate(likeness.split()):
        alone = pipeline.invert(crops[index], steps=STEPS, likeness="instant")
        assert alone.render is not None and head.render is not None
        # the encoder sums in another order for a batch, and Adam's first step has the size of its rate whatever the sum
        assert (alone.render.image - head.render.image).abs().mean() < 1e-2
        assert error(pipeline, alone, crops[index]) == pytest.approx(error(pipeline, head, crops[index]), rel=0.05)


def test_the_seed_alone_decides(pipeline: Pipeline, crops: FaceCrop, likeness: Inversion):
    again = pipeline.invert(crops, steps=STEPS, likeness="instant")
    assert torch.equal(again.latent.ws, likeness.latent.ws)
    assert again.plane_offset is not None and likeness.plane_offset is not None
    assert torch.equal(again.plane_offset, likeness.plane_offset)
    other = pipeline.invert(crops, steps=STEPS, likeness="instant", seed=1)
    assert other.plane_offset is not None and not torch.equal(other.plane_offset, likeness.plane_offset)


def test_auto_is_instant_where_it_is_quick(pipeline: Pipeline, crops: FaceCrop, system: Inversion):
    assert "likeness" in pipeline.invert(crops[0], steps=STEPS).info
    generator = threedpsp.load_generator("tiny", device="cpu")
    assert wants_first_likeness("auto", generator, system)
    generator.config = dataclasses.replace(generator.config, img_resolution=512, sr_resolution=256, sr_up=(True, False))
    assert not wants_first_likeness("auto", generator, system)
    assert wants_first_likeness("instant", generator, system)
    tuned = dataclasses.replace(system, generator_delta={"decoder.net.0.weight": torch.zeros(1)})
    assert not wants_first_likeness("auto", pipeline.generator, tuned)


def test_refining_makes_these_updates_itself(pipeline: Pipeline, crops: FaceCrop):
    config = threedpsp.RefineConfig(steps=3, tune_generator=False)
    stages: list[str] = []
    refined = pipeline.invert(
        crops[0], steps=STEPS, likeness="instant", refine=config, on_progress=lambda stage, *_: stages.append(stage)
    )
    assert "likeness" not in stages and refined.info["refine"]["steps_before"] == 0


def test_refining_afterwards_goes_on_with_smaller_steps(pipeline: Pipeline, crops: FaceCrop, likeness: Inversion):
    (head, _) = likeness.split()
    refined = pipeline.refine(head, crops[0], threedpsp.RefineConfig(steps=4))
    assert refined.info["refine"]["steps_before"] == HANDFUL
    assert error(pipeline, refined, crops[0]) <= error(pipeline, head, crops[0])


def test_progress_and_pictures_of_every_photo_are_shown(pipeline: Pipeline, crops: FaceCrop):
    seen: list[tuple[str, int, int]] = []
    pictures: list[torch.Size] = []
    pipeline.invert(
        crops,
        steps=STEPS,
        on_progress=lambda *step: seen.append(step),
        on_image=lambda image: pictures.append(image.shape),
    )
    total = 2 * HANDFUL
    assert seen[0] == ("encode", 1, 1) and seen[-1] == ("likeness", total, total)
    done = [step for _, step, _ in seen[1:]]
    assert done == sorted(done)
    assert pictures[0][0] == 2 and {tuple(shape) for shape in pictures[1:]} == {(1, 3, 64, 64)}


def test_one_person_of_several_heads_is_between_them(pipeline: Pipeline, likeness: Inversion):
    person = threedpsp.one_person(likeness.split())
    assert person.plane_offset is not None and likeness.plane_offset is not None
    mean = likeness.plane_offset.float().mean(0, keepdim=True)
    torch.testing.assert_close(person.plane_offset.float(), mean, atol=2e-3, rtol=0)  # kept in half precision
    (view,) = pipeline.render(person, person.camera)
    assert torch.isfinite(view.image).all()


def test_other_words_are_refused():
    with pytest.raises(InputError, match="auto, instant, none"):
        check_likeness("later")
