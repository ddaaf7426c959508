"""Encoders in bfloat16: near the float32 result, float32 at both ends, and the same whatever runs them."""

from __future__ import annotations

import copy
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
from threedpsp.packed_weights import PackedConv2d, with_packed_weights
from threedpsp.precision import convolutions_in

TOLERANCE = 0.02
"""Error over the result's deviation. A rounding is .002, and some twenty follow each other; seen: .002 to .008."""
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


def check_near(network: nn.Module, *inputs: torch.Tensor) -> None:
    exact = network(*inputs)
    found = convolutions_in(network, torch.bfloat16)(*inputs)
    assert found.dtype == torch.float32
    assert 0 < error(found, exact) < TOLERANCE


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_bfloat16_is_near_and_float32_at_both_ends(config: EncoderConfig):
    inputs = photo_and_estimate(config)
    encoder = build_encoder(config)
    if encoder.face is not None:  # they begin at zero
        for parameter in encoder.face.parameters():
            parameter.normal_(0, 0.05)
    check_near(encoder, *inputs)


@torch.no_grad()
def test_planes_branch_in_bfloat16_is_near():
    config = BranchConfig(
        input_channels=9, resolution=32, depths=(1, 1, 1, 1), widths=(8, 8, 8, 8), up_channels=(16, 16, 16, 16),
        plane_channels=12, sees_planes=True,
    )  # fmt: skip
    branch = TriplaneBranch(config).train(False)
    inputs = torch.rand(1, 9, 32, 32) * 2 - 1, torch.randn(1, 12, 32, 32)
    check_near(branch, *inputs)


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
    encoder = with_packed_weights(convolutions_in(build_encoder(ENCODER), torch.bfloat16))
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


@torch.no_grad()
def test_packed_weights_give_the_same_and_come_along():
    """The order of sums in bfloat16 may differ (seen: by .0005 of the deviation)."""
    encoder = convolutions_in(build_encoder(ENCODER), torch.bfloat16)
    inputs = photo_and_estimate(ENCODER)
    usual = encoder(*inputs)
    names = list(encoder.state_dict())
    packed = with_packed_weights(encoder)
    assert list(packed.state_dict()) == names
    found = packed(*inputs)
    assert error(found, usual) < 0.005
    if any(isinstance(module, PackedConv2d) for module in packed.modules()):
        assert any(vars(module).get("_packed") is not None for module in packed.modules())
    assert torch.equal(copy.deepcopy(packed)(*inputs), found)
    assert torch.equal(packed.to("cpu")(*inputs), found)
    one = photo_and_estimate(ENCODER)[0][:1]
    assert packed(one, inputs[1]).shape == (1, ENCODER.num_ws, ENCODER.w_dim)  # packed for two
    exact = packed.float()(*inputs)
    assert error(found, exact) < TOLERANCE


def test_a_packed_network_still_passes_gradients_to_its_input():
    encoder = with_packed_weights(convolutions_in(build_encoder(ENCODER).requires_grad_(False), torch.bfloat16))
    x, camera = photo_and_estimate(ENCODER)
    x.requires_grad_(True)
    encoder(x, camera).sum().backward()
    assert x.grad is not None and bool(x.grad.abs().sum() > 0)
