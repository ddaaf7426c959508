"""Building Ranger; its path is checked by the recorded case `ranger` in tests/test_parity.py."""

from __future__ import annotations

import sys

import pytest
import torch

from threedpsp.errors import MissingDependencyError
from threedpsp.training.ranger import build_ranger


def test_weight_decay_shrinks_by_learning_rate_times_it() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    weight.grad = torch.zeros(2, 2)
    build_ranger([weight], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), 0.95))


def test_gradients_are_centred_and_a_loss_falls() -> None:
    weight = torch.nn.Parameter(torch.zeros(2, 3))
    weight.grad = torch.ones(2, 3)  # nothing is left of it once its mean is off
    build_ranger([weight], lr=0.1).step()
    assert weight.abs().max() == 0
    bias = torch.nn.Parameter(torch.ones(3))
    optimizer = build_ranger([bias], lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        bias.square().sum().backward()
        optimizer.step()
    assert bias.square().sum() < 1.5  # 3 at first


def test_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(MissingDependencyError, match="pip install pytorch-optimizer"):
        build_ranger([torch.nn.Parameter(torch.zeros(1))])
