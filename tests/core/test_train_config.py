"""The settings of a training: presets, JSON, what is refused, and what may change when it resumes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from threedpsp.cli import parse
from threedpsp.cli.train import TrainPreset
from threedpsp.errors import InputError
from threedpsp.training.encoders.config import PRESETS, TrainConfig
from threedpsp.training.encoders.loss_weights import branch_weights, loss_weights, needs_mirror


@pytest.mark.parametrize("name", PRESETS)
def test_presets_parse_and_flags_change_them(name: str):
    command = parse(["train", name, "--batch", "8", "--photos", "faces", "--method", "e4e", "--no-tf32"])
    assert isinstance(command, TrainPreset)
    wanted = dataclasses.replace(PRESETS[name], batch=8, photos=Path("faces"), method="e4e", tf32=False)
    assert vars(command.config) == vars(wanted)


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_settings_survive_json(config: TrainConfig):
    changed = dataclasses.replace(config, photos=Path("a/b"), l2_weight=0.5)
    assert TrainConfig.from_json(changed.to_json()) == changed


@pytest.mark.parametrize("text", ["{", "[]", '{"stepps": 3}'])
def test_damaged_settings_are_refused(text: str):
    with pytest.raises(InputError):
        TrainConfig.from_json(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 3, "accumulation": 2}, "--accumulation 2"),
        ({"steps": 0}, "--steps"),
        ({"rendered_share": 1.5}, "--rendered-share"),
        ({"ema_decay": 1.0}, "--ema-decay"),
        ({"l2_weight": -1.0}, "--l2-weight"),
        ({"learning_rate": 0.0}, "--learning-rate"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_the_words_of_the_flags(settings: dict, message: str):
    with pytest.raises(InputError, match=message):
        TrainConfig(**settings)


def test_resuming_with_other_settings_names_them():
    stopped = TrainConfig(batch=4)
    dataclasses.replace(stopped, steps=9, keep_last=5, device="cpu").check_resumes(stopped)
    with pytest.raises(InputError, match=r"--batch 4 \(now 8\)"):
        dataclasses.replace(stopped, batch=8).check_resumes(stopped)


def test_weights_are_the_published_ones_unless_given():
    ours = loss_weights(TrainConfig(), 512)
    assert (ours.pixel, ours.perceptual, ours.identity, ours.mirror, ours.side) == (1, 0.5, 0.4, 1, 512)
    psp = loss_weights(TrainConfig(method="psp"), 512)
    assert (psp.pixel, psp.perceptual, psp.identity, psp.mirror, psp.side) == (1, 0.8, 0.1, 0, 256)
    e4e = loss_weights(TrainConfig(method="e4e"), 512)
    assert (e4e.delta, e4e.discriminator) == (2e-4, 0.1)
    branch = branch_weights(TrainConfig(method="triplanenet-v2"), 512)
    assert branch is not None
    assert (branch.pixel_term, branch.perceptual, branch.identity, branch.mirror) == ("smooth_l1", 0.1, 0.1, 0.1)
    assert loss_weights(TrainConfig(l2_weight=3.0, mirror_weight=0.0), 128).pixel == 3
    assert loss_weights(TrainConfig(), 128).side == 128
    assert needs_mirror(TrainConfig(), 128) and not needs_mirror(TrainConfig(method="psp"), 128)
    assert needs_mirror(TrainConfig(method="triplanenet-v2"), 128)
