"""The embedded model: what a user may rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from threedpsp.camera import Camera
from threedpsp.eg3d.config import GeneratorConfig
from threedpsp.eg3d.generator import Generator
from threedpsp.encoder.inversion import invert
from threedpsp.errors import WeightsError
from threedpsp.evaluation.identity import render_landmarks
from threedpsp.metrics import psnr
from threedpsp.weights.load import EMBEDDED, load_encoder, load_generator, save_generator

TEN_MEGABYTES = 10_000_000


@pytest.fixture(scope="module")
def generator() -> Generator:
    return load_generator("tiny", "cpu")


@pytest.mark.parametrize("part", ["generator", "encoder"])
def test_embedded_files_are_small_half_precision_tensors(part: str) -> None:
    path = EMBEDDED["tiny"] / f"{part}.safetensors"
    assert path.stat().st_size <= TEN_MEGABYTES
    with safe_open(path, "pt") as file:
        json.loads(file.metadata()["config"])
        assert {file.get_tensor(name).dtype for name in file.keys()} <= {torch.float16, torch.int64}  # noqa: SIM118


def test_embedded_encoder_belongs_to_the_embedded_generator(generator: Generator) -> None:
    encoder = load_encoder("tiny", generator)
    assert encoder.generator_fingerprint == generator.fingerprint


def test_random_latents_give_different_faces(generator: Generator) -> None:
    z = torch.randn(4, generator.config.z_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ws = generator.mapping(z, Camera.frontal(), truncation_psi=0.7)
        images = generator.synthesis(ws, Camera.frontal().expand(4)).image.clamp(-1, 1)
    assert all(render_landmarks(image[None]) is not None for image in images)
    assert min(psnr(images[:1].expand(3, -1, -1, -1), images[1:]).neg().tolist()) > -25


def test_encoder_finds_a_generated_face_again(generator: Generator) -> None:
    encoder = load_encoder("tiny", generator)
    z = torch.randn(2, generator.config.z_dim, generator=torch.Generator().manual_seed(1))
    camera = Camera.orbit(torch.tensor([-8.0, 8.0]))
    with torch.no_grad():
        ws = generator.mapping(z, Camera.frontal(), truncation_psi=0.7)
        photo = generator.synthesis(ws, camera).image.clamp(-1, 1)
    inversion = invert(encoder, generator, photo, camera)
    assert inversion.render is not None
    start = generator.synthesis(encoder.latent_avg.expand(2, -1, -1), camera).image
    assert (psnr(inversion.render.image, photo) > psnr(start, photo) + 1).all()


def test_background_stays_where_it_is_while_the_head_turns(generator: Generator) -> None:
    encoder = load_encoder("tiny", generator)
    planes = generator.planes(encoder.latent_avg)
    views = [generator.render(planes, encoder.latent_avg, Camera.orbit(yaw)) for yaw in (-10.0, 10.0)]
    opacity = 0.05  # the head may change what is behind it by twice as much, as colours span -1 to 1
    seen_through = torch.stack([view.opacity for view in views]).amax(0) < opacity
    assert seen_through.float().mean() > 0.05
    difference = (views[0].image_raw - views[1].image_raw).abs()[seen_through.expand(-1, 3, -1, -1)]
    assert difference.max() < 2 * opacity


def test_saved_generator_renders_the_same(tmp_path: Path) -> None:
    config = GeneratorConfig.tiny()
    first = Generator(config).eval()
    save_generator(first, tmp_path / "generator.safetensors")
    second = load_generator(tmp_path, "cpu")
    assert second.config == config
    assert second.fingerprint == first.fingerprint


def test_a_file_that_does_not_fit_its_config_is_refused(tmp_path: Path) -> None:
    path = EMBEDDED["tiny"] / "generator.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, tmp_path / "generator.safetensors", metadata)
    with pytest.raises(WeightsError, match="does not fit its own config"):
        load_generator(tmp_path, "cpu")


def test_a_damaged_file_and_a_missing_one_are_named(tmp_path: Path) -> None:
    (tmp_path / "generator.safetensors").write_bytes(b"\x80\x04not weights")
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_generator(tmp_path, "cpu")
    with pytest.raises(WeightsError, match="tiny"):
        load_generator(tmp_path / "absent.safetensors", "cpu")
