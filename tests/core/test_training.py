"""Joint training of the tiny generator and its encoder, on a few generated portraits."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.core.generated_portraits import generated_portraits
from threedpsp.camera import Camera
from threedpsp.eg3d.config import GeneratorConfig
from threedpsp.eg3d.generator import Generator
from threedpsp.errors import InputError
from threedpsp.preprocessing.landmark_model import mirror_index
from threedpsp.training.batches import IMAGE_SIDE, Augmentation, PortraitBatches, without_person
from threedpsp.training.checkpoints import RESUME_POINT
from threedpsp.training.config import JointConfig
from threedpsp.training.draws import LOOPS, Workers, draw_people, place
from threedpsp.training.finish import fit_mapping
from threedpsp.training.finished import load_networks
from threedpsp.training.grow import grow_generator
from threedpsp.training.joint import JointTrainer
from threedpsp.training.losses import projected
from threedpsp.training.reports import LossMeans, progress_line
from threedpsp.training.validation import FIGURES_FILE
from threedpsp.weights.load import load_generator


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portraits") / "portraits.safetensors"
    generated_portraits(2).save(path)
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


def quick_config(people: Path, output: Path, **changes: Any) -> JointConfig:
    """Through all stages in six steps."""
    output.mkdir()
    config = JointConfig(
        people, output, steps=6, coarse_steps=1, encoder_start=1, handover_start=2, handover_end=3, samples=4,
        own_batch=1, encoder_batch=1,
    )  # fmt: skip
    return dataclasses.replace(config, **changes)


def test_training_learns_and_resumes_where_it_stopped(portraits: Path, tmp_path: Path) -> None:
    trainer = JointTrainer(quick_config(portraits, tmp_path / "run", validation=portraits))
    assert not trainer.resume()
    before = [p.detach().clone() for p in trainer.shared]
    while trainer.step < 4:
        trainer.train_step()
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.shared, strict=True))
    trainer.save()
    trainer.train_step()
    again = JointTrainer(trainer.config)
    assert again.resume() and again.step == 4
    again.train_step()
    for one, two in zip([*trainer.shared, trainer.latents], [*again.shared, again.latents], strict=True):
        assert torch.equal(one, two)
    again.run()
    assert again.step == 6 and (again.config.output / "sheet_000006.png").is_file()
    figures = json.loads((again.config.output / FIGURES_FILE).read_text())
    assert figures["step"] == 6 and figures["made up"]["psnr"] > 3

    generator, encoder = load_networks(again.config.output / RESUME_POINT)
    error = fit_mapping(generator.backbone.mapping, torch.randn(40, 512) * 0.3, Camera.frontal().label, steps=150)
    assert error < 0.9
    assert encoder.latent_avg.shape == (1, generator.config.num_ws, generator.config.w_dim)


def test_the_small_resume_point_is_enough_to_go_on(portraits: Path, tmp_path: Path) -> None:
    trainer = JointTrainer(quick_config(portraits, tmp_path / "run"))
    assert not trainer.resume()
    trainer.train_step()
    trainer.save()
    assert (tmp_path / "run" / RESUME_POINT).stat().st_size < 16 << 20
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "run" / RESUME_POINT, tmp_path / "other")
    other = JointTrainer(dataclasses.replace(trainer.config, output=tmp_path / "other"))
    assert other.resume() and other.step == other.warm_from == 1
    for mine, theirs in zip(trainer.generator_ema.parameters(), other.generator.parameters(), strict=True):
        assert (mine - theirs).abs().max() <= 1e-3 * mine.abs().max() + 1e-6  # fp16


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_asked_to_stop_saves_first(portraits: Path, tmp_path: Path, number: signal.Signals) -> None:
    class Asked(JointTrainer):
        def train_step(self) -> None:
            super().train_step()
            signal.raise_signal(number)

    before = signal.getsignal(number)
    config = quick_config(portraits, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt, match="step 1"):
        Asked(config).run()
    assert signal.getsignal(number) is before
    again = JointTrainer(config)
    assert again.resume() and again.step == 1


def test_a_larger_generator_begins_with_what_the_smaller_one_makes() -> None:
    small = load_generator("tiny", "cpu")
    large = Generator(GeneratorConfig.tiny_256()).requires_grad_(False)
    grow_generator(large, small)
    ws = small.mapping(torch.randn(1, small.config.z_dim), Camera.frontal())
    assert torch.equal(large.planes(ws).features, small.planes(ws).features)
    one, two = (g.synthesis(ws, Camera.frontal()) for g in (small, large))
    assert torch.equal(one.image_raw, two.image_raw)
    coarse = torch.nn.functional.avg_pool2d(two.image, 2)
    assert (coarse - one.image).abs().mean() < 0.15  # less its last details


def test_every_step_draws_the_same_people_whatever_the_number_of_workers() -> None:
    large = torch.arange(50) < 10
    whole = draw_people(large, 4, 0.5, 0, "own", 17)
    assert torch.equal(whole, draw_people(large, 4, 0.5, 0, "own", 17))
    parts = [whole[Workers(rank, 2).share(4)] for rank in range(2)]
    assert torch.equal(torch.cat(parts), whole)
    many = torch.cat([draw_people(large, 4, 0.5, 0, "own", step) for step in range(200)])
    assert 0.4 < (many < 10).float().mean() < 0.6
    with pytest.raises(InputError, match="3 workers"):
        Workers(0, 3).share(4)


def test_loops_of_the_encoder_begin_anew_after_their_length() -> None:
    places = [place(step) for step in range(2 * sum(LOOPS))]
    assert [p.done for p in places[: sum(LOOPS)]] == [done for length in LOOPS for done in range(length)]
    assert len({p.group for p in places}) == 2 * len(LOOPS)


def test_progress_line_has_the_means_since_the_last_one(portraits: Path, tmp_path: Path) -> None:
    means = LossMeans()
    means.add({"raw": torch.tensor(1.0), "hull": torch.tensor(0.5)})
    means.add({"raw": torch.tensor(2.0)})
    config = quick_config(portraits, tmp_path / "run", steps=110, own_batch=2, encoder_batch=4)
    line = progress_line(config, 10, 1.5, means.take())
    assert line == "step 10  4.00 images/s  2 min left  raw 1.5000  hull 0.5000"
    assert means.take() == {}
