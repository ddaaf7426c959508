"""The profile: time is charged to the part that took it, forward and backward, and the rows make up the whole."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from threedpsp import kernels
from threedpsp.bench.profile_table import Profile, ProfileOptions
from threedpsp.bench.regions import watched
from threedpsp.bench.self_time import REST, SelfTime
from threedpsp.errors import InputError
from threedpsp.metrics.identity import DlibIdentity

ROOT = Path(__file__).resolve().parents[2]


class Waits(torch.autograd.Function):
    """The same numbers; takes its time on the way there and, longer, on the way back."""

    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        spend(0.02)
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
        spend(0.05)
        return gradient


def spend(seconds: float) -> None:
    """Processor time."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_time_is_charged_to_the_region_that_took_it_and_back_to_the_one_that_made_the_graph() -> None:
    clock = SelfTime()
    x = torch.ones(3, requires_grad=True)
    started = time.thread_time()
    clock.begin()
    with clock.region("one", differentiable=True):
        y = Waits.apply(x)
        with clock.region("two", differentiable=True):
            y = Waits.apply(y)
    with clock.region("data", whole=True), clock.region("two", differentiable=True):
        spend(0.03)
    clock.backward(torch.autograd.backward, Waits.apply(y).sum())
    found = clock.end()
    whole = time.thread_time() - started
    expected = {"one forward": 0.02, "two forward": 0.02, "data": 0.03, "one backward": 0.05, "two backward": 0.05}
    expected[REST] = 0.07  # the last one belongs to no region
    assert found == pytest.approx(expected, abs=0.012)
    assert sum(found.values()) == pytest.approx(whole, rel=0.02)
    assert x.grad is not None and x.grad.eq(1).all()


def test_gradients_are_the_same_under_the_clock_and_everything_is_put_back() -> None:
    network, x = DlibIdentity(), torch.rand(1, 3, 150, 150) * 255
    embed, render = DlibIdentity.embed, kernels.render_rays

    def gradient() -> torch.Tensor:
        leaf = x.clone().requires_grad_()
        network(leaf).square().sum().backward()
        assert leaf.grad is not None
        return leaf.grad

    expected = gradient()
    with watched(SelfTime()):
        assert DlibIdentity.embed is not embed
        assert torch.equal(gradient(), expected)
    assert DlibIdentity.embed is embed and kernels.render_rays is render


@pytest.mark.parametrize(
    ("job", "rows"),
    [
        ("train-tiny", {"data", "encoder backward", "points backward", "perceptual backward", "identity backward"}),
        ("train", {"data", "encoder backward", "backbone backward", "perceptual backward", "identity backward"}),
        ("refine", {"backbone backward", "super-resolution backward", "perceptual backward", "identity backward"}),
    ],
)
def test_a_quick_profile_runs_anywhere_and_names_all_parts(job: str, rows: set[str]) -> None:
    command = [sys.executable, "-m", "threedpsp.bench", "profile", job, "--quick", "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["job"] == job
    assert rows | {"rays forward, compiled", "rays backward, compiled"} <= set(found["rows"])
    assert all(took > 0 for took in found["rows"].values())
    assert found["rows"][REST] < 0.5 * sum(found["rows"].values())
    if job == "train-tiny":
        assert len(found["kinds"]) == found["steps"] == 4
        assert sum(found["kinds"].values()) / 4 == pytest.approx(sum(found["rows"].values()), rel=1e-3)


def test_the_table_has_shares_and_how_much_faster_the_whole_could_get() -> None:
    lines = Profile("refine", 8, {"data": 25.0, REST: 75.0}, {}).markdown().splitlines()
    assert lines[2] == "| data | 25.0 | 25.0 % | 1.33 |"
    assert lines[-1] == "| a step, mean of 8 | 100.0 | 100 % | |"


def test_steps_must_be_some() -> None:
    with pytest.raises(InputError, match="at least 1"):
        ProfileOptions(steps=0)
