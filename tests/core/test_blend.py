"""Blends of heads: the ends are the heads themselves, halves change their own style vectors, models do not mix."""

from __future__ import annotations

import pytest
import torch

import threedpsp
from threedpsp.camera import Camera
from threedpsp.errors import InputError, WeightsError
from threedpsp.types import Inversion, WPlus


def head(value: float, *, generator: str = "g", tuned: bool = False) -> Inversion:
    return Inversion(
        latent=WPlus(torch.full((1, 14, 8), value), generator),
        camera=Camera.orbit(10 * value),
        plane_offset=torch.full((1, 3, 4, 4, 2), value) if tuned else None,
        generator_delta={"a": torch.full((2,), value)} if tuned else None,
    )


@pytest.mark.parametrize(("amount", "expected"), [(0.0, 1.0), (1.0, 3.0), (0.25, 1.5)])
def test_everything_moves_from_the_first_head_to_the_second(amount: float, expected: float):
    a, b = head(1.0, tuned=True), head(3.0, tuned=True)
    mixed = threedpsp.blend(a, b, amount)
    assert torch.allclose(mixed.latent.ws, torch.full((1, 14, 8), expected))
    assert torch.allclose(mixed.plane_offset, torch.full((1, 3, 4, 4, 2), expected))
    assert torch.allclose(mixed.generator_delta["a"], torch.full((2,), expected))
    assert torch.equal(mixed.camera.label, a.camera.label)


def test_tuning_that_one_head_lacks_counts_as_none():
    mixed = threedpsp.blend(head(1.0), head(2.0, tuned=True), 0.5)
    assert torch.allclose(mixed.plane_offset, torch.ones(1, 3, 4, 4, 2))
    assert torch.allclose(mixed.generator_delta["a"], torch.ones(2))


@pytest.mark.parametrize(("what", "changed"), [("shape", slice(0, 7)), ("colours", slice(7, 14))])
def test_a_half_changes_its_own_style_vectors_alone(what: str, changed: slice):
    mixed = threedpsp.blend(head(0.0, tuned=True), head(1.0, tuned=True), 0.5, what=what)
    moved = torch.zeros(14)
    moved[changed] = 0.5
    assert torch.allclose(mixed.latent.ws[0, :, 0], moved)
    assert not mixed.plane_offset.any()


def test_one_person_is_the_mean_of_the_photos():
    mean = threedpsp.one_person([head(1.0), head(2.0), head(6.0, tuned=True)])
    assert torch.allclose(mean.latent.ws, torch.full((1, 14, 8), 3.0))
    assert torch.allclose(mean.plane_offset, torch.full((1, 3, 4, 4, 2), 2.0))
    assert mean.info["photos"] == 3


def test_heads_of_different_models_do_not_mix():
    with pytest.raises(WeightsError, match="different generators"):
        threedpsp.blend(head(1.0), head(2.0, generator="other"), 0.5)
    with pytest.raises(WeightsError, match="different generators"):
        threedpsp.one_person([head(1.0), head(2.0, generator="other")])


@pytest.mark.parametrize("amount", [-0.1, 1.1, float("nan")])
def test_amounts_out_of_range_are_refused(amount: float):
    with pytest.raises(InputError, match="between 0 and 1"):
        threedpsp.blend(head(1.0), head(2.0), amount)


def test_a_batch_splits_into_its_heads():
    both = Inversion(
        WPlus(torch.arange(2.0)[:, None, None].expand(2, 14, 8), "g"), Camera.orbit(torch.tensor([3.0, 9.0]))
    )
    first, second = both.split()
    assert len(both) == 2 and len(first) == 1
    assert second.latent.ws.eq(1).all() and second.camera.yaw_degrees.item() == pytest.approx(9, abs=1e-3)
