"""Encoders in bfloat16: near the float32 result, float32 at both ends, and the same whatever runs them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from tests.core.small_networks import ENCODER
from threedpsp.camera import Camera
from threedpsp.encoder.config import EncoderConfig
from threedpsp.encoder.encoder import build_encoder
from threedpsp.encoder.triplane_branch import BranchConfig, TriplaneBranch
from threedpsp.precision import convolutions_in

TOLERANCE = 0.02
"""Error over the result's deviation. A rounding is .002, and some twenty follow each other; seen: .003 to .008."""
CONFIGS = {
    "published blocks": ENCODER,
    "average pooling, group norm": dataclasses.replace(ENCODER, se_pool="avg", norm="group", widths=(16, 16, 32, 32)),
    "one row at first": dataclasses.replace(ENCODER, row_deltas=True, shared_heads=False),
    "with face features": dataclasses.replace(ENCODER, face_features=True),
}


@pytest.fixture
def any_thread_count() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def photo_and_estimate(config: EncoderConfig) -> tuple[Tensor, Camera]:
    side = config.input_resolution
    smooth = nn.functional.interpolate(torch.rand(2, 6, 4, 4) * 2 - 1, size=(side, side), mode="bicubic")
    return smooth.clamp(-1, 1), Camera.orbit(8.0, -4.0)


def error(found: Tensor, exact: Tensor) -> float:
    return ((found - exact).square().mean().sqrt() / exact.std()).item()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_bfloat16_is_near_and_float32_at_both_ends(config: EncoderConfig):
    inputs = photo_and_estimate(config)
    exact = build_encoder(config)(*inputs)
    found = convolutions_in(build_encoder(config), torch.bfloat16)(*inputs)
    assert found.dtype == torch.float32
    assert 0 < error(found, exact) < TOLERANCE


@torch.no_grad()
def test_planes_branch_in_bfloat16_is_near():
    config = BranchConfig(
        input_channels=9, resolution=32, depths=(1, 1, 1, 1), widths=(8, 8, 8, 8), up_channels=(16, 16, 16, 16),
        plane_channels=12, sees_planes=True,
    )  # fmt: skip
    branch = TriplaneBranch(config).train(False)
    inputs = torch.rand(1, 9, 32, 32) * 2 - 1, torch.randn(1, 12, 32, 32)
    exact = branch(*inputs)
    found = convolutions_in(branch, torch.bfloat16)(*inputs)
    assert found.dtype == torch.float32
    assert 0 < error(found, exact) < TOLERANCE


@torch.no_grad()
def test_maps_stay_bfloat16_from_layer_to_layer():
    encoder = convolutions_in(build_encoder(ENCODER), torch.bfloat16)
    types = set()
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.PReLU):
            module.register_forward_hook(lambda module, inputs, output: types.add((inputs[0].dtype, output.dtype)))
    encoder(*photo_and_estimate(ENCODER))
    assert types == {(torch.bfloat16, torch.bfloat16)}


def test_what_normalises_and_the_mean_latent_stay_float32():
    encoder = convolutions_in(build_encoder(ENCODER), torch.bfloat16)
    kept = [t for m in encoder.modules() if isinstance(m, nn.BatchNorm2d) for t in m.state_dict().values()]
    assert {t.dtype for t in kept if t.is_floating_point()} == {torch.float32}
    assert encoder.latent_avg.dtype == torch.float32


@torch.no_grad()
def test_another_run_and_other_thread_counts_give_the_same_bits(any_thread_count: None):
    encoder = convolutions_in(build_encoder(ENCODER), torch.bfloat16)
    inputs = photo_and_estimate(ENCODER)
    torch.set_num_threads(1)
    once = encoder(*inputs)
    assert torch.equal(encoder(*inputs), once)
    torch.set_num_threads(2)
    assert torch.equal(encoder(*inputs), once)


@torch.no_grad()
def test_float32_is_left_as_it_was():
    encoder = build_encoder(ENCODER)
    weights = {name: p.data_ptr() for name, p in encoder.named_parameters()}
    assert {name: p.data_ptr() for name, p in convolutions_in(encoder, torch.float32).named_parameters()} == weights
