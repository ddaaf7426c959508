"""unsup3d's ConfNet against the published network with drawn weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.golden import load_golden, relative_error, seeded_weights
from threedpsp.camera import Camera
from threedpsp.errors import WeightsError
from threedpsp.preprocessing.confnet import ConfNet
from threedpsp.preprocessing.mirror_sigma import estimate_mirror_sigma

TOLERANCE = 3e-5  # float32, group normalisation between; seen: 3e-6. Resizing in one step instead of two costs 1e-2


@pytest.fixture(scope="module")
def network() -> ConfNet:
    return ConfNet.from_state({"netC": seeded_weights("confnet_unsup3d.weights.json"), "epoch": 30})


def test_both_outputs_equal_the_published(network: ConfNet) -> None:
    tensors, _ = load_golden("confnet_part")
    colour, perceptual = network(tensors["x64"])
    assert relative_error(colour, tensors["conf_sigma_l1"]) < TOLERANCE
    assert relative_error(perceptual, tensors["conf_sigma_percl"]) < TOLERANCE


def test_other_sizes_give_the_same_map(network: ConfNet) -> None:
    photo = F.interpolate(load_golden("confnet_part")[0]["x64"], (512, 512), mode="bilinear")
    expected = network.stored_map(photo)
    for side in (256, 1024):
        resized = F.interpolate(photo, (side, side), mode="bilinear", antialias=True)
        assert relative_error(network.stored_map(resized), expected) < 0.05
    sigma = estimate_mirror_sigma(photo[..., ::2, ::2], torch.zeros(1, 478, 2), Camera.orbit(0.0), backend=network)
    assert sigma.shape == (1, 256, 256)


def test_a_bare_state_dict_is_taken_and_others_are_refused(network: ConfNet) -> None:
    same = ConfNet.from_state(network.state_dict())
    assert torch.equal(same.network[0].weight, network.network[0].weight)
    with pytest.raises(WeightsError, match="netC"):
        ConfNet.from_state({"netA": network.state_dict()})
