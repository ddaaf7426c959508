"""Rendering a head with a generator alone: no encoder is looked for, and it is the pipeline's own rendering."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import threedpsp
from tests.core.small_model import save_small_model
from threedpsp.camera import Camera
from threedpsp.cli import main
from threedpsp.eg3d.generator import Generator
from threedpsp.errors import WeightsError
from threedpsp.rendering import frames
from threedpsp.types import Inversion, WPlus


@pytest.fixture(scope="module")
def generator_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator's file with no encoder anywhere near."""
    model = save_small_model(tmp_path_factory.mktemp("model"))
    folder = tmp_path_factory.mktemp("alone")
    return Path(shutil.copy(model / "generator.safetensors", folder / "mine.safetensors"))


@pytest.fixture(scope="module")
def generator(generator_file: Path) -> Generator:
    return threedpsp.load_generator(generator_file, device="cpu")


@pytest.fixture(scope="module")
def inversion(generator: Generator) -> Inversion:
    ws = torch.randn(1, generator.config.num_ws, generator.config.w_dim, generator=torch.Generator().manual_seed(0))
    return Inversion(WPlus(ws, generator.fingerprint), Camera.orbit(8.0, -4.0))


def test_a_generator_alone_renders(generator: Generator, inversion: Inversion):
    cameras = threedpsp.camera_path("swing", 3, inversion.camera)
    views = list(threedpsp.render(generator, inversion, cameras))
    assert [view.image.shape for view in views] == [(1, 3, 64, 64)] * 3
    together = list(threedpsp.render(generator, inversion, cameras, chunk=3))
    torch.testing.assert_close(views[1].image, together[1].image, rtol=0, atol=1e-5)  # as in test_pipeline


def test_a_pipeline_renders_the_same(generator: Generator, inversion: Inversion, tmp_path: Path):
    pipeline = threedpsp.load(save_small_model(tmp_path), device="cpu")
    (own,) = pipeline.render(inversion, inversion.camera)
    (public,) = threedpsp.render(pipeline, inversion, inversion.camera)
    (alone,) = threedpsp.render(generator, inversion, inversion.camera)
    assert torch.equal(own.image, public.image)
    assert torch.equal(own.image, alone.image)


def test_frames_come_from_a_generator_alone(generator: Generator, inversion: Inversion):
    (frame,) = frames(generator, inversion, inversion.camera, side=80)
    assert (frame.shape, str(frame.dtype)) == ((80, 80, 3), "uint8")


def test_generator_is_found_in_the_search_path(generator: Generator, generator_file: Path):
    found = threedpsp.load_generator("mine", device="cpu", weights_dirs=[generator_file.parent])
    assert found.fingerprint == generator.fingerprint
    with pytest.raises(WeightsError, match="one of: tiny"):
        threedpsp.load_generator("huge")


def test_render_command_needs_no_encoder(generator_file: Path, inversion: Inversion, tmp_path: Path):
    threedpsp.save_inversion(tmp_path / "latent.safetensors", inversion)
    options = ["--generator", str(generator_file), "--frames", "2", "--size", "64", "--device", "cpu"]
    assert main(["render", str(tmp_path / "latent.safetensors"), *options]) == 0
    assert (tmp_path / "swing.mp4").is_file()
