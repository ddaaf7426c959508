"""Views of heads: one scale for a sequence, one picture a camera, nothing rendered that is there already."""

from __future__ import annotations

import pytest
import torch

import threedpsp
from tests.core.small_model import save_small_model
from threedpsp.camera import Camera
from threedpsp.errors import InputError
from threedpsp.pipeline import Pipeline
from threedpsp.types import FaceCrop, Inversion


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return threedpsp.load(save_small_model(tmp_path_factory.mktemp("model")), device="cpu")


@pytest.fixture(scope="module")
def heads(pipeline: Pipeline) -> list[Inversion]:
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return pipeline.invert(FaceCrop(image, Camera.orbit(torch.tensor([8.0, -4.0]))), steps=1).split()


def test_every_head_is_seen_by_every_camera(pipeline: Pipeline, heads: list[Inversion]):
    cameras = Camera.orbit(torch.tensor([-10.0, 0.0, 10.0]))
    seen: list[tuple[str, int, int]] = []
    shown: list[torch.Tensor] = []
    views = threedpsp.render_views(
        pipeline.generator, heads, cameras, on_progress=lambda *step: seen.append(step), on_image=shown.append
    )
    side, raw = pipeline.generator.config.img_resolution, pipeline.generator.config.neural_rendering_resolution
    assert tuple(views.image.shape) == (6, 3, side, side)
    assert tuple(views.depth.shape) == tuple(views.opacity.shape) == (6, 1, raw, raw)
    assert tuple(views.normals.shape) == (6, 3, raw, raw)
    assert seen == [("render", i + 1, 6) for i in range(6)] and len(shown) == 6
    (alone,) = pipeline.render(heads[1], cameras[2])
    torch.testing.assert_close(views.image[5], alone.image[0].clamp(-1, 1), rtol=0, atol=1e-5)
    assert not torch.allclose(views.image[0], views.image[2], atol=1e-3)


def test_without_cameras_each_head_is_seen_from_its_own(pipeline: Pipeline, heads: list[Inversion]):
    views = threedpsp.render_views(pipeline, heads)
    torch.testing.assert_close(views.image, threedpsp.own_views(pipeline, heads).clamp(-1, 1), rtol=0, atol=1e-5)


def test_pictures_of_small_models_are_enlarged_on_request(pipeline: Pipeline, heads: list[Inversion]):
    assert tuple(threedpsp.render_views(pipeline, heads[:1], side=96).image.shape) == (1, 3, 96, 96)
    own = pipeline.generator.config.img_resolution
    assert threedpsp.render_views(pipeline, heads[:1], side=8).image.shape[-1] == own


def test_a_picture_that_is_there_is_not_rendered_again(pipeline: Pipeline, heads: list[Inversion]):
    class NoGenerator:
        generator = None

    pictures = threedpsp.own_views(NoGenerator(), heads)
    assert torch.equal(pictures[:1], heads[0].render.image)


def test_no_head_and_no_camera_are_refused(pipeline: Pipeline, heads: list[Inversion]):
    with pytest.raises(InputError, match="no head"):
        threedpsp.render_views(pipeline, [])
    with pytest.raises(InputError, match="no camera"):
        threedpsp.render_views(pipeline, heads, Camera.orbit(0.0)[:0])


def test_random_heads_depend_on_the_seed_alone(pipeline: Pipeline):
    first = threedpsp.random_head(pipeline.generator, 3)
    assert torch.equal(first.latent.ws, threedpsp.random_head(pipeline.generator, 3).latent.ws)
    assert not torch.equal(first.latent.ws, threedpsp.random_head(pipeline.generator, 4).latent.ws)
    mean = threedpsp.random_head(pipeline.generator, 3, truncation=0.0).latent.ws
    torch.testing.assert_close(mean[0, 0], pipeline.generator.backbone.mapping.w_avg)
    with pytest.raises(InputError, match="between 0 and 1"):
        threedpsp.random_head(pipeline.generator, 3, truncation=1.5)
