"""In which types networks compute: what a name means, what "auto" chooses, what is refused, and where it is written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import threedpsp
from tests.core.small_model import save_small_model
from threedpsp import precision, setup_check
from threedpsp.camera import Camera
from threedpsp.cli import main, parse
from threedpsp.errors import InputError
from threedpsp.precision import BFLOAT16, FLOAT16, FLOAT32, ON_CARDS, PRECISION_VARIABLE, resolve_precision
from threedpsp.training.encoders.config import TrainConfig
from threedpsp.types import FaceCrop
from threedpsp.weights import load as low_level

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def crop() -> FaceCrop:
    return FaceCrop(torch.rand(1, 3, 64, 64) * 2 - 1, Camera.orbit(8.0, -4.0))


@pytest.fixture
def no_variable(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv(PRECISION_VARIABLE, raising=False)
    return monkeypatch


def test_a_name_means_the_same_everywhere():
    assert resolve_precision("float32", CPU) == resolve_precision("float32", CUDA) == FLOAT32
    assert resolve_precision("bfloat16", CPU) == resolve_precision("bfloat16", CUDA) == BFLOAT16
    assert resolve_precision("float16", CUDA) == FLOAT16
    assert resolve_precision(FLOAT16, CPU) is FLOAT16  # found before, for another device


@pytest.mark.parametrize(("multiplies", "expected"), [(True, BFLOAT16), (False, FLOAT32)])
def test_auto_is_bfloat16_where_the_processor_multiplies_it(
    multiplies: bool, expected: precision.Precision, no_variable: pytest.MonkeyPatch
):
    no_variable.setattr(precision, "processor_multiplies_bfloat16", lambda: multiplies)
    assert resolve_precision("auto", CPU) == expected


def test_auto_on_a_card_is_what_was_published_and_bfloat16_encoders(no_variable: pytest.MonkeyPatch):
    no_variable.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert resolve_precision("auto", CUDA) == ON_CARDS
    assert ON_CARDS.name == "backbone float32, superresolution float16, networks bfloat16"
    assert ON_CARDS.for_training() == precision.Precision(networks=torch.bfloat16)


def test_the_environment_says_what_auto_is_and_nothing_else(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(PRECISION_VARIABLE, "float32")
    assert resolve_precision("auto", CPU) == FLOAT32
    assert resolve_precision("bfloat16", CPU) == BFLOAT16


@pytest.mark.parametrize("name", ["half", "Float32", ""])
def test_unknown_names_are_refused_with_the_known_ones(name: str):
    with pytest.raises(InputError, match="auto, float32, bfloat16, float16"):
        resolve_precision(name, CPU)


def test_float16_on_a_cpu_is_refused_before_anything_is_read(tmp_path: Path):
    with pytest.raises(InputError, match="slower than float32"):
        threedpsp.load(tmp_path / "there is no such file.pkl", device="cpu", precision="float16")


def test_the_command_refuses_float16_on_a_cpu(model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    photo = tmp_path / "photo.jpg"
    photo.touch()
    options = ["--generator", str(model), "--device", "cpu", "--precision", "float16", "-o", str(tmp_path / "out")]
    assert main(["invert", str(photo), *options]) == InputError.exit_code
    assert "float16 on cpu" in capsys.readouterr().err


def test_loading_is_auto_and_low_level_loaders_are_float32(model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(PRECISION_VARIABLE, "bfloat16")
    assert threedpsp.load(model, device="cpu").generator.precision == BFLOAT16
    assert threedpsp.load_generator(model, device="cpu").precision == BFLOAT16
    assert threedpsp.load(model, device="cpu", precision="float32").generator.precision == FLOAT32
    assert low_level.load_generator(model, "cpu").precision == FLOAT32


def test_a_tuned_copy_keeps_the_precision(model: Path):
    generator = threedpsp.load_generator(model, device="cpu", precision="bfloat16")
    assert generator.with_delta({}).precision == BFLOAT16


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_head_and_its_file_say_which_precision_made_it(name: str, model: Path, crop: FaceCrop, tmp_path: Path):
    pipeline = threedpsp.load(model, device="cpu", precision=name)
    inversion = pipeline.invert(crop, steps=1, likeness="none")
    threedpsp.save_inversion(tmp_path / "latent.safetensors", inversion)
    assert threedpsp.load_inversion(tmp_path / "latent.safetensors").info["precision"] == name


def test_latent_files_from_before_there_was_a_choice_are_read(model: Path, crop: FaceCrop, tmp_path: Path):
    inversion = threedpsp.load(model, device="cpu").invert(crop, steps=1, likeness="none")
    old = {name: value for name, value in inversion.info.items() if name != "precision"}
    threedpsp.save_inversion(tmp_path / "old.safetensors", dataclasses.replace(inversion, info=old))
    read = threedpsp.load_inversion(tmp_path / "old.safetensors")
    assert read.info == old and torch.equal(read.latent.ws, inversion.latent.ws)


def test_the_setup_report_says_what_auto_is_and_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(setup_check, "default_device", lambda: CPU)
    monkeypatch.setenv(PRECISION_VARIABLE, "")
    monkeypatch.setattr(precision, "processor_multiplies_bfloat16", lambda: False)
    assert "auto is float32: this processor would only imitate" in setup_check._precision().text
    monkeypatch.setenv(PRECISION_VARIABLE, "bfloat16")
    assert f"auto is bfloat16: the environment variable {PRECISION_VARIABLE}" in setup_check._precision().text
    monkeypatch.setenv(PRECISION_VARIABLE, "double")
    assert setup_check._precision().state == "note"


def test_commands_that_use_networks_take_a_precision():
    for command in (["demo"], ["invert", "a.jpg"], ["render"], ["mesh"], ["evaluate", "a"]):
        chosen: Any = parse([*command, "--precision", "bfloat16"])
        default: Any = parse(command)
        assert (chosen.precision, default.precision) == ("bfloat16", "auto")


def test_trainings_are_float32_unless_told_and_never_float16(capsys: pytest.CaptureFixture[str]):
    tiny: Any = parse(["train-tiny", "people.safetensors"])
    told: Any = parse(["train-tiny", "people.safetensors", "--precision", "bfloat16"])
    preset: Any = parse(["train", "tiny_cpu", "--precision", "auto"])
    assert (tiny.precision, told.precision, preset.config.precision) == ("float32", "bfloat16", "auto")
    with pytest.raises(SystemExit):
        parse(["train-tiny", "people.safetensors", "--precision", "float16"])
    assert "float16" in capsys.readouterr().err


def test_trainings_from_before_resume_with_the_precision_they_had():
    now = json.loads(TrainConfig(precision="bfloat16").to_json())
    now.pop("precision")
    assert TrainConfig.from_json(json.dumps({**now, "bf16": True})) == TrainConfig(precision="bfloat16")
    assert TrainConfig.from_json(json.dumps({**now, "bf16": False})) == TrainConfig(precision="float32")
