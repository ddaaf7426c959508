"""An encoder with narrower heads that makes the steps of the wider one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.core.small_networks import ENCODER, small_generator
from tests.core.training_runs import Portraits
from threedpsp.encoder.encoder import Encoder, build_encoder
from threedpsp.errors import InputError
from threedpsp.training.encoders.checkpoints import publish
from threedpsp.training.encoders.photos import CheckedPhotos
from threedpsp.training.encoders.slim import SlimJob, answer, gather, learn, narrow
from threedpsp.weights.load import load_inverter, save_encoder, save_generator
from threedpsp.weights.systems import load_generator


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a small random generator and an encoder with heads of plain strided convolutions."""
    generator = small_generator()
    save_generator(generator, tmp_path / "generator.safetensors")
    encoder = build_encoder(dataclasses.replace(ENCODER, head_pointwise=False))
    encoder.generator_fingerprint = generator.fingerprint
    save_encoder(encoder, tmp_path / "encoder.safetensors")
    return tmp_path


def test_narrow_heads_learn_the_wide_ones_steps(model: Path) -> None:
    generator = load_generator(str(model / "generator.safetensors"), device="cpu")
    wide = load_inverter(model / "encoder.safetensors", generator)
    assert isinstance(wide, Encoder)
    width = wide.config.head_width // 2
    slim = narrow(wide, width)
    side = wide.config.input_resolution
    answers = gather(wide, generator, CheckedPhotos(Portraits(4), side, needs_sigma=False), n_iters=2)
    assert answers.step.shape == (8, wide.num_ws, wide.w_dim)
    with torch.no_grad():
        given = answers.pick(torch.arange(8))
        # features are kept in half precision
        torch.testing.assert_close(answer(wide, given), answers.step, rtol=1e-2, atol=1e-2)
        before = (answer(slim, given) - answers.step).square().mean() / answers.step.square().mean()
    job = SlimJob("", model, steps=60, batch=4, width=width)
    assert learn(slim, answers, job) < 0.5 * before
    publish(slim, model / "slim.safetensors")
    found = load_inverter(model / "slim.safetensors", generator)
    assert isinstance(found, Encoder)
    assert found.config.head_width == width
    torch.testing.assert_close(found.latent_avg, wide.latent_avg, rtol=1e-3, atol=1e-3)
    assert (model / "slim.safetensors").stat().st_size < (model / "encoder.safetensors").stat().st_size


def test_heads_do_not_become_wider(model: Path) -> None:
    generator = load_generator(str(model / "generator.safetensors"), device="cpu")
    wide = load_inverter(model / "encoder.safetensors", generator)
    assert isinstance(wide, Encoder)
    with pytest.raises(InputError, match="choose fewer"):
        narrow(wide, wide.config.head_width)


def test_published_heads_are_refused() -> None:
    with pytest.raises(InputError, match="pointwise"):
        narrow(build_encoder(ENCODER), 8)
