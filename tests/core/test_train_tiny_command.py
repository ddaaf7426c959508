"""`threedpsp train-tiny` as a person runs it: workers, a stop, another number of workers, weights at the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from tests.core.generated_portraits import generated_portraits
from threedpsp.encoder.plane_descent import descent_from_checkpoint
from threedpsp.training.checkpoints import CHECKPOINT, KIND, read, read_weights
from threedpsp.training.config import JointConfig
from threedpsp.weights.load import load_encoder, load_generator


def train(people: Path, output: Path, *options: str) -> str:
    """Runs the command; what it wrote to stderr."""
    command = [sys.executable, "-m", "threedpsp", "train-tiny", str(people), "-o", str(output), "--init", "tiny"]
    command += ["--device", "cpu", "--descent-steps", "1"]
    ran = subprocess.run([*command, *options], capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


def test_a_run_goes_on_with_another_number_of_workers(tmp_path: Path) -> None:
    people, output = tmp_path / "people.safetensors", tmp_path / "run"
    generated_portraits(4).save(people)
    begin = JointConfig(people, output).handover_end  # what --init leaves out
    train(people, output, "--workers", "2", "--batch", "4", "--steps", str(begin + 1))
    first, numbers = read(output / CHECKPOINT, KIND)
    assert numbers["step"] == begin + 1

    (output / "weights" / "generator.safetensors").unlink()
    (output / "descent_checkpoint.safetensors").unlink()  # it has learned all its steps
    said = train(people, output, "--workers", "1", "--batch", "2", "--steps", str(begin + 2))
    assert f"resumed at step {begin + 1}" in said
    second, numbers = read(output / CHECKPOINT, KIND)
    assert numbers["step"] == begin + 2 and set(second) == set(first)
    assert any(not torch.equal(first[name], second[name]) for name in first)

    generator = load_generator(output / "weights", "cpu")
    assert generator.config.img_resolution == 256
    assert load_encoder(output / "weights", generator).num_ws == generator.config.num_ws
    descent = descent_from_checkpoint(*read_weights(output / "weights" / "descent.safetensors"))
    assert descent.generator_fingerprint == generator.fingerprint
