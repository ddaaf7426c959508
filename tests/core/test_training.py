"""Joint training of the tiny generator and its encoder, on a few generated portraits."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.core.generated_portraits import generated_portraits
from threedpsp.camera import Camera
from threedpsp.preprocessing.landmark_model import mirror_index
from threedpsp.training.batches import IMAGE_SIDE, Augmentation, PortraitBatches, without_person
from threedpsp.training.config import JointConfig
from threedpsp.training.finish import fit_mapping, load_networks
from threedpsp.training.joint import JointTrainer
from threedpsp.training.losses import projected
from threedpsp.training.reports import LossMeans, progress_line
from threedpsp.training.resume_point import pack, unpack


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portraits") / "portraits.safetensors"
    generated_portraits(6).save(path)
    return path


def test_moved_and_mirrored_portraits_keep_mesh_camera_and_landmarks_together() -> None:
    batches = PortraitBatches(generated_portraits(6), torch.from_numpy(mirror_index()), seed=3)
    batch = batches.make(torch.arange(6), Augmentation(flip=0.5, roll_degrees=8, shift=0.02, tint=0.1))
    assert batch.flipped.any() and not batch.flipped.all()
    error = projected(batch.mesh, batch.camera, IMAGE_SIDE) - batch.landmarks[:, :468]
    assert error.norm(dim=-1).max() < 0.3  # pixels; a move is only nearly a turn of the camera


def test_without_person_keeps_the_rest_and_fills_the_hole() -> None:
    image = torch.full((1, 3, IMAGE_SIDE, IMAGE_SIDE), 0.5)
    mask = torch.zeros(1, 1, IMAGE_SIDE, IMAGE_SIDE)
    mask[:, :, 32:96, 32:96] = 1
    image[:, :, 32:96, 32:96] = -1
    assert (without_person(image, mask) - 0.5).abs().max() < 0.02


def test_training_learns_and_resumes_where_it_stopped(portraits: Path, tmp_path: Path) -> None:
    config = JointConfig(
        portraits, tmp_path / "run", steps=6, coarse_steps=1, encoder_start=1, handover_start=2, handover_end=3,
        held_out=2, batch=2, save_every=3, sheet_every=6, samples=4,
    )  # fmt: skip
    config.output.mkdir()
    trainer = JointTrainer(config)
    before = [p.detach().clone() for p in trainer.shared]
    while trainer.step < 3:
        trainer.train_step()
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.shared, strict=True))
    trainer.save()
    trainer.train_step()
    again = JointTrainer(config)
    assert again.resume() and again.step == 3
    again.train_step()
    for one, two in zip(trainer.generator.parameters(), again.generator.parameters(), strict=True):
        assert torch.equal(one, two)
    again.run()
    assert again.step == 6 and (config.output / "sheet_000006.png").is_file()

    pack(config.output, tmp_path / "resume.safetensors")
    unpack(tmp_path / "resume.safetensors", tmp_path / "other")
    restarted = JointTrainer(dataclasses.replace(config, output=tmp_path / "other", restart_optimizers=True))
    assert restarted.resume() and restarted.step == restarted.warm_from == 6

    generator, encoder = load_networks(config.output / "checkpoint_0_of_1.pt")
    error = fit_mapping(generator.backbone.mapping, torch.randn(40, 512) * 0.3, Camera.frontal().label, steps=150)
    assert error < 0.9
    assert encoder.latent_avg.shape == (1, generator.config.num_ws, generator.config.w_dim)


def test_progress_line_has_the_means_since_the_last_one(portraits: Path, tmp_path: Path) -> None:
    means = LossMeans()
    means.add({"raw": torch.tensor(1.0), "hull": torch.tensor(0.5)})
    means.add({"raw": torch.tensor(2.0)})
    line = progress_line(JointConfig(portraits, tmp_path, steps=110, batch=3), 10, 2, 1.5, means.take())
    assert line == "step 10  4.00 images/s  2 min left  raw 1.5000  hull 0.5000"
    assert means.take() == {}
