"""The inversion loop with small networks: what each step sees, what is kept, what is refused."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from tests.core.small_networks import ENCODER, GENERATOR, small_generator
from threedpsp.camera import Camera
from threedpsp.eg3d.generator import Generator
from threedpsp.encoder.encoder import Encoder, build_encoder
from threedpsp.encoder.inversion import (
    compute_avg_image,
    compute_latent_avg,
    invert,
    invert_steps,
    resize_photo,
)
from threedpsp.errors import InputError, WeightsError


@pytest.fixture(scope="module")
def generator() -> Generator:
    return small_generator()


@pytest.fixture()
def encoder(generator: Generator) -> Encoder:
    made = build_encoder(ENCODER, seed=2)
    made.latent_avg.copy_(compute_latent_avg(generator, 64))
    made.generator_fingerprint = generator.fingerprint
    return made


@pytest.fixture()
def photos() -> torch.Tensor:
    return F.interpolate(torch.rand(2, 3, 8, 8) * 2 - 1, size=64, mode="bilinear")


CAMERAS = Camera.orbit(torch.tensor([-15.0, 10.0]))


def test_loop_is_the_one_written_out(encoder: Encoder, generator: Generator, photos: torch.Tensor) -> None:
    x = F.avg_pool2d(photos, 2)
    with torch.no_grad():
        frontal = generator.synthesis(encoder.latent_avg, Camera.frontal()).image
        y = F.interpolate(frontal, scale_factor=0.5, mode="bilinear").expand(2, -1, -1, -1)
        ws = encoder.latent_avg.expand(2, -1, -1)
        expected = []
        for _ in range(3):
            ws = ws + encoder(torch.cat([x, y], 1), CAMERAS)
            image = generator.synthesis(ws, CAMERAS).image
            y = F.avg_pool2d(image, 2)
            expected.append((ws, image, y))
    steps = list(invert_steps(encoder, generator, photos, CAMERAS, 3))
    for step, (ws, image, y) in zip(steps, expected, strict=True):
        # The same networks in the same order: only the resizing differs, by rounding.
        torch.testing.assert_close(step.ws, ws, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(step.render.image, image, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(step.image, y, atol=1e-4, rtol=1e-4)
        assert not step.ws.requires_grad


def test_invert_keeps_every_step_and_reports_progress(
    encoder: Encoder, generator: Generator, photos: torch.Tensor
) -> None:
    seen: list[tuple[int, int]] = []
    inversion = invert(encoder, generator, photos, CAMERAS, on_step=lambda i, n: seen.append((i, n)))
    assert seen == [(i, 5) for i in range(1, 6)]
    assert [ws.shape for ws, _ in inversion.steps] == [(2, GENERATOR.num_ws, 24)] * 5
    assert [image.shape for _, image in inversion.steps] == [(2, 3, 32, 32)] * 5
    assert torch.equal(inversion.latent.ws, inversion.steps[-1][0])
    assert inversion.latent.generator == generator.fingerprint
    assert inversion.render is not None and inversion.render.image.shape == (2, 3, 64, 64)
    assert len(inversion.camera) == 2


def test_batch_equals_photos_one_by_one(encoder: Encoder, generator: Generator, photos: torch.Tensor) -> None:
    together = invert(encoder, generator, photos, CAMERAS, 2).latent.ws
    for i in range(2):
        alone = invert(encoder, generator, photos[i : i + 1], CAMERAS[i], 2).latent.ws
        torch.testing.assert_close(alone, together[i : i + 1], atol=1e-4, rtol=1e-4)


def test_a_callback_can_end_the_loop(encoder: Encoder, generator: Generator, photos: torch.Tensor) -> None:
    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        invert(encoder, generator, photos, CAMERAS, on_step=stop)


def test_gradients_stay_inside_a_step(encoder: Encoder, generator: Generator, photos: torch.Tensor) -> None:
    inputs: list[torch.Tensor] = []
    encoder.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    for step in invert_steps(encoder, generator, photos, CAMERAS, 2, differentiable=True):
        encoder.zero_grad()
        step.render.image.square().mean().backward()
        assert encoder.latlayer1.weight.grad is not None and encoder.latlayer1.weight.grad.abs().sum() > 0
    assert len(inputs) == 2 and not any(x.requires_grad for x in inputs)


def test_one_step_encoder_adds_its_residual_to_the_mean(generator: Generator, photos: torch.Tensor) -> None:
    config = dataclasses.replace(ENCODER, input_channels=3, camera_features=0)
    psp = build_encoder(config, seed=2)
    psp.latent_avg.fill_(0.5)
    inversion = invert(psp, generator, photos, CAMERAS)
    with torch.no_grad():
        torch.testing.assert_close(inversion.latent.ws, psp(F.avg_pool2d(photos, 2)) + 0.5, atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match="exactly one step"):
        invert(psp, generator, photos, CAMERAS, 2)


def test_mean_latent_is_the_mean_of_mapped_noise(generator: Generator) -> None:
    z = torch.randn(50, 16, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        expected = generator.mapping(z, Camera.frontal()).mean(0, keepdim=True)
    torch.testing.assert_close(compute_latent_avg(generator, 50, seed=7), expected, atol=1e-6, rtol=1e-5)
    with pytest.raises(InputError, match="at least one sample"):
        compute_latent_avg(generator, 0)


def test_first_estimate_has_the_side_of_the_encoder(encoder: Encoder, generator: Generator) -> None:
    assert compute_avg_image(generator, encoder.latent_avg, 32).shape == (1, 3, 32, 32)
    assert compute_avg_image(generator, encoder.latent_avg, 64).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("side, target", [(512, 256), (96, 64), (64, 64), (32, 64)])
def test_resizing_keeps_a_constant_image_constant(side: int, target: int) -> None:
    resized = resize_photo(torch.full((1, 3, side, side), 0.3), target)
    assert resized.shape == (1, 3, target, target)
    torch.testing.assert_close(resized, torch.full_like(resized, 0.3))


def test_encoder_of_another_generator_is_refused(encoder: Encoder, generator: Generator, photos: torch.Tensor) -> None:
    encoder.generator_fingerprint = "f" * 16
    with pytest.raises(WeightsError, match=f"trained for generator {'f' * 16}"):
        invert(encoder, generator, photos, CAMERAS)
    other = build_encoder(dataclasses.replace(ENCODER, w_dim=32))
    with pytest.raises(WeightsError, match=f"{GENERATOR.num_ws} x 32"):
        invert(other, generator, photos, CAMERAS)


def test_photos_and_cameras_that_do_not_fit_are_refused(
    encoder: Encoder, generator: Generator, photos: torch.Tensor
) -> None:
    with pytest.raises(InputError, match="as many cameras"):
        invert(encoder, generator, photos, Camera.orbit(torch.zeros(3)))
    with pytest.raises(InputError, match=r"\[N,3,R,R\]"):
        invert_steps(encoder, generator, photos[:, :, :32], CAMERAS)
    with pytest.raises(InputError, match="at least one step"):
        invert(encoder, generator, photos, CAMERAS, 0)
