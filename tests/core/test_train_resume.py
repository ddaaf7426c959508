"""A training that is killed goes on as if nothing had been; several processes train as one does."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from tests.core.training_runs import (
    KILLED,
    ROOT,
    command,
    difference,
    environment,
    kill_at,
    losses,
    one_thread,
    small_config,
)
from threedpsp.errors import InputError, WeightsError
from threedpsp.training.encoders.checkpoints import STATE_FILE, checkpoints, publish, read_state, save_checkpoint
from threedpsp.training.encoders.run import train
from threedpsp.weights.recognise import recognise


def test_killed_and_resumed_training_has_the_losses_of_an_uninterrupted_one(tmp_path: Path):
    """CPU, float32, one thread: the arithmetic is the same, so even the last bits are; 1e-6 is what is promised."""
    whole = small_config(tmp_path, **KILLED)
    with one_thread():
        train(whole, lambda _: None)
        killed = small_config(tmp_path, output=tmp_path / "killed", **KILLED)
        kill_at(killed, random.Random().randint(1, 20))
        assert len(losses(killed)) < whole.steps, "it was not killed in time"
        assert all(read_state(folder) for folder in checkpoints(killed.output))
        train(killed, lambda _: None)
    assert difference(whole, killed) <= 1e-6


@pytest.mark.parametrize("method", ["3dpsp", "e4e", "triplanenet-v1"])
def test_a_run_in_two_pieces_is_the_run_in_one(method: str, tmp_path: Path):
    settings = {"method": method, "save_every": 2, "stage_start": 1, "panels_every": 99, "validate_every": 2}
    whole = small_config(tmp_path, steps=6, **settings)
    train(whole, lambda _: None)
    pieces = small_config(tmp_path, output=tmp_path / "pieces", steps=3, **settings)
    train(pieces, lambda _: None)
    result = train(small_config(tmp_path, output=tmp_path / "pieces", steps=6, **settings), lambda _: None)
    assert result.step == 6
    assert losses(pieces) == pytest.approx(losses(whole), rel=1e-6)


def test_two_processes_train_as_one(tmp_path: Path):
    """Batch normalisation on running statistics; 1e-5 is promised, gradients are sums in another order.

    Weights after Ranger's first plain steps are weights minus multiples of gradients, so they differ as these do.
    """
    settings = {"steps": 3, "batch": 4, "batch_norm": "running", "save_every": 3, "learning_rate": 1e-2}
    one = small_config(tmp_path, **settings)
    train(one, lambda _: None)
    two = small_config(tmp_path, output=tmp_path / "two", **settings)
    launcher = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m")
    run = subprocess.run(
        command(two, *launcher), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "2 process(es)" in run.stderr
    assert losses(two) == pytest.approx(losses(one), rel=1e-5)
    state_one, state_two = (read_state(checkpoints(c.output)[-1])[0] for c in (one, two))
    moments = [name for name in state_one if name.endswith("/exp_avg")]
    assert len(moments) > 50
    for name in moments:
        a, b = state_one[name], state_two[name]
        assert (a - b).norm() <= 1e-5 * a.norm() + 1e-9, name


def test_a_folder_of_another_training_is_refused(tmp_path: Path):
    train(small_config(tmp_path, steps=1), lambda _: None)
    with pytest.raises(InputError, match=r"another --output"):
        train(small_config(tmp_path, steps=1, seed=9), lambda _: None)


def test_a_finished_training_says_so_and_changes_nothing(tmp_path: Path):
    config = small_config(tmp_path, steps=2)
    first = train(config, lambda _: None)
    before = (first.checkpoint / STATE_FILE).stat().st_mtime_ns
    again = train(config, lambda _: None)
    assert (again.step, again.reason) == (2, "all steps are done")
    assert (again.checkpoint / STATE_FILE).stat().st_mtime_ns == before


def test_training_stops_early_and_on_time(tmp_path: Path):
    config = small_config(tmp_path, steps=50, validate_every=1, patience=2, learning_rate=1e-12, ema_decay=0.0)
    result = train(config, lambda _: None)
    assert result.step < 50 and "no better validation" in result.reason
    result = train(small_config(tmp_path, output=tmp_path / "timed", steps=50, max_seconds=1e-3), lambda _: None)
    assert result.step == 1 and "seconds are over" in result.reason


def test_a_damaged_checkpoint_is_named(tmp_path: Path):
    config = small_config(tmp_path, steps=1)
    result = train(config, lambda _: None)
    path = result.checkpoint / STATE_FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"step_00000001 cannot be read.*Remove this folder"):
        train(small_config(tmp_path, steps=2), lambda _: None)


def test_half_written_checkpoints_are_removed_and_old_ones_too(tmp_path: Path):
    left = tmp_path / "run" / "checkpoints" / ".step_00000007.abcd"
    left.mkdir(parents=True)
    (left / "training.safetensors").write_bytes(b"half")
    train(small_config(tmp_path, steps=5, save_every=1, keep_last=2), lambda _: None)
    names = sorted(p.name for p in left.parent.iterdir())
    assert names == ["step_00000004", "step_00000005"]


def test_numbers_too_large_for_fp16_are_published_in_float32(tmp_path: Path):
    from tests.core.small_networks import ENCODER
    from threedpsp.encoder.encoder import build_encoder

    encoder = build_encoder(ENCODER)
    encoder.body[0].res_layer[0].running_var.fill_(1e6)
    publish(encoder, tmp_path / "e.safetensors")
    found = recognise(tmp_path / "e.safetensors")
    assert not found.problems
    assert float(found.tensors["body.0.res_layer.0.running_var"].max()) == 1e6


def test_a_checkpoint_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from tests.core.small_networks import ENCODER
    from threedpsp.encoder.encoder import build_encoder

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("threedpsp.training.encoders.checkpoints.write_safetensors", fail)
    with pytest.raises(Exception, match="disk is full"):
        save_checkpoint(tmp_path, 3, build_encoder(ENCODER), {}, "{}", 2)
    assert not list((tmp_path / "checkpoints").iterdir())
