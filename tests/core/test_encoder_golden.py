"""The full-size encoder and the whole loop against recorded values (slow: 230 M weights are drawn)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.golden import load_golden, relative_error, seeded_weights
from threedpsp.camera import Camera
from threedpsp.eg3d.config import GeneratorConfig
from threedpsp.eg3d.generator import Generator
from threedpsp.encoder.config import EncoderConfig
from threedpsp.encoder.encoder import Encoder, encoder_from_state
from threedpsp.encoder.inversion import compute_avg_image, invert

# float32 sums in another order (the worst seen is 4e-6, channels last); a wrong eps or pooling costs 5e-5 and more.
TOLERANCE = 2e-5
# Images of a generator with random weights magnify what the ws differ by; the worst seen is 2e-5 after five steps.
IMAGE_TOLERANCE = 2e-4


@pytest.fixture(scope="module")
def published_encoder() -> Iterator[Encoder]:
    yield encoder_from_state(EncoderConfig.threedpsp(), seeded_weights("encoder_3dpsp.weights.json"))


def test_published_encoder_gives_the_recorded_residuals(published_encoder: Encoder) -> None:
    tensors, _ = load_golden("encoder_3dpsp")
    with torch.no_grad():
        residual = published_encoder(tensors["x_stride1"], Camera.from_label(tensors["camera"]))
    assert relative_error(residual, tensors["residual"]) < TOLERANCE


def test_published_loop_gives_the_recorded_ws_and_images(published_encoder: Encoder) -> None:
    tensors, metadata = load_golden("inversion_3dpsp")
    generator = Generator(GeneratorConfig.ffhq512_128()).eval()
    generator.load_state_dict(seeded_weights(metadata["generator_weights"]))
    published_encoder.latent_avg.copy_(tensors["latent_avg"])
    avg_image = compute_avg_image(generator, published_encoder.latent_avg, 256)
    assert relative_error(avg_image, tensors["avg_image"]) < TOLERANCE

    camera = Camera.from_label(tensors["camera"])
    photo = tensors["x512_fp16"].float()
    inversion = invert(published_encoder, generator, photo, camera, avg_image=avg_image)
    for index, (ws, _) in enumerate(inversion.steps, start=1):
        assert relative_error(ws, tensors[f"ws_step{index}"]) < TOLERANCE, f"step {index}"
    assert inversion.render is not None
    assert relative_error(inversion.render.image[:, :, ::4, ::4], tensors["image_stride4"]) < IMAGE_TOLERANCE
    with torch.no_grad():
        mirror = generator.synthesis(inversion.latent.ws, camera.mirrored()).image
    assert relative_error(mirror[:, :, ::4, ::4], tensors["mirror_image_stride4"]) < IMAGE_TOLERANCE


def test_psp_encoder_gives_the_recorded_residuals() -> None:
    tensors, metadata = load_golden("encoder_psp")
    encoder = encoder_from_state(EncoderConfig.psp(), seeded_weights(metadata["weights"]))
    with torch.no_grad():
        residual = encoder(tensors["x"])
    assert relative_error(residual, tensors["residual"]) < TOLERANCE
