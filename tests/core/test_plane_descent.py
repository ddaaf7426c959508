"""Learned descent on planes: what an untaught network does, what teaching changes, and its file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.core.generated_portraits import generated_portraits
from threedpsp.camera import Camera
from threedpsp.encoder.inversion import resize_photo
from threedpsp.encoder.plane_descent import DescentConfig, PlaneDescent, descend, descent_from_checkpoint, error_of
from threedpsp.errors import WeightsError
from threedpsp.training.config import JointConfig
from threedpsp.training.descent_config import DescentTraining
from threedpsp.training.descent_stage import DescentStage, measure_descent
from threedpsp.training.joint_model import JointModel
from threedpsp.weights.load import load_encoder, load_generator

SMALL = DescentConfig(widths=(8, 8), steps=2)


def make_stage(folder: Path) -> DescentStage:
    """On the embedded networks and a few generated portraits."""
    people = folder / "people.safetensors"
    if not people.is_file():
        generated_portraits(4).save(people)
    model = JointModel(JointConfig(people, folder, init="tiny", device="cpu"))
    model.generator = load_generator("tiny", "cpu")
    model.encoder = load_encoder("tiny", model.generator)
    torch.manual_seed(0)
    return DescentStage(model, DescentTraining(steps=6, batch=1, samples=4), PlaneDescent(SMALL))


def test_an_untaught_network_steps_down_the_gradient() -> None:
    generator = load_generator("tiny", "cpu")
    random = torch.Generator().manual_seed(0)
    ws, other = generator.mapping(
        torch.randn(2, generator.config.z_dim, generator=random), Camera.frontal(), 0.7
    ).split(1)
    photo = generator.synthesis(other, Camera.frontal()).image
    steps = list(descend(PlaneDescent(SMALL), generator, generator.planes(ws), ws, Camera.frontal(), photo))
    errors = [error_of(step.render.image, photo).item() for step in steps]
    assert len(errors) == 3 and errors[0] > errors[1] > errors[2]
    assert not steps[0].offset.any() and not steps[-1].offset.requires_grad


def test_teaching_changes_the_network_and_resumes_where_it_stopped(tmp_path: Path) -> None:
    stage = make_stage(tmp_path)
    before = [p.detach().clone() for p in stage.network.parameters()]
    for _ in range(2):
        stage.train_step()
    assert any(not torch.equal(a, b) for a, b in zip(before, stage.network.parameters(), strict=True))
    assert all(p.grad is None for p in stage.model.generator.parameters())
    stage.save()
    stage.train_step()
    again = make_stage(tmp_path)
    assert again.resume() and again.step == 2
    again.train_step()
    for one, two in zip(stage.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, two)
    figures = measure_descent(again.model, again.network, again.model.people.take([0]))
    assert len(figures["made up"]) == 3 * (SMALL.steps + 1) + 1


def test_a_descent_comes_back_from_its_file_and_other_files_are_refused() -> None:
    network = PlaneDescent(dataclasses.replace(SMALL, plane_channels=4))
    network.generator_fingerprint = "abc"
    tensors, metadata = network.checkpoint()
    loaded = descent_from_checkpoint(tensors, metadata)
    assert loaded.config == network.config and loaded.generator_fingerprint == "abc"
    inputs = [torch.randn(1, 3, 8, 8, 4) for _ in range(3)]
    assert torch.equal(loaded(*inputs, torch.ones(1, 1, 1, 1, 1), 1), network(*inputs, torch.ones(1, 1, 1, 1, 1), 1))
    with pytest.raises(WeightsError, match="does not describe"):
        descent_from_checkpoint(tensors, {"kind": "encoder"})
    with pytest.raises(WeightsError, match="do not fit"):
        descent_from_checkpoint({"gain": torch.zeros(1)}, metadata)


def test_photos_are_compared_at_the_generators_side() -> None:
    photo = torch.zeros(1, 3, 256, 256)
    assert error_of(torch.ones(1, 3, 128, 128), resize_photo(photo, 128)).item() == pytest.approx(11.0)
