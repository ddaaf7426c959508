"""FID's Inception: the published names, and the features that torch-fidelity's network gives with the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from threedpsp.errors import WeightsError
from threedpsp.metrics.inception import Inception

RECORDED = (
    0.0, 3.0888, 6.2684, 0.6899, 0.0917, 0.0614, 0.8842, 0.1416,
    0.0121, 0.1905, 2.1628, 0.8943, 0.4692, 1.616, 0.7709, 0.6169,
)  # fmt: skip
"""Every 128th of the 2,048 features."""


def wave(shape: torch.Size, phase: float) -> Tensor:
    """Numbers between -1 and 1 that every machine makes alike."""
    count = torch.arange(shape.numel(), dtype=torch.float64)
    return torch.cos(count * 0.37 + count.square() * 1e-3 + phase).float().reshape(shape)


def made_up_state() -> dict[str, Tensor]:
    """Convolutions that keep the signal's size, BatchNorm that shifts a little, and a classifier, as the file has."""
    state: dict[str, Tensor] = {}
    for number, (name, tensor) in enumerate(Inception().state_dict().items()):
        values = wave(tensor.shape, number)
        if name.endswith("conv.weight"):
            state[name] = values * (4 / tensor[0].numel()) ** 0.5
        elif name.endswith(("bn.weight", "running_var")):
            state[name] = 1 + 0.2 * values
        elif not name.endswith("num_batches_tracked"):
            state[name] = 0.1 * values
    return state | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return made_up_state()


def test_features_are_those_of_the_published_network(state: dict[str, Tensor], tmp_path: Path):
    """Recorded from torch-fidelity 0.4.0; sums in another order move them by about 1e-5 of their size."""
    torch.save(state, tmp_path / "inception.pth")
    network = Inception.from_file(tmp_path / "inception.pth")
    image = (wave(torch.Size([1, 3, 299, 299]), 0.5) * 127 + 128).round()
    found = network((image - 128) / 128)[0]
    assert found.shape == (2048,)
    expected = torch.tensor(RECORDED)
    torch.testing.assert_close(found[:: 2048 // len(RECORDED)][: len(RECORDED)], expected, rtol=1e-3, atol=1e-3)


def test_pictures_of_any_side_are_read(state: dict[str, Tensor]):
    network = Inception.from_state(state)
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    larger = torch.nn.functional.interpolate(image, size=299, mode="bilinear", align_corners=False)
    torch.testing.assert_close(network(image), network(larger))


def test_other_weights_are_refused(state: dict[str, Tensor]):
    less = {name: tensor for name, tensor in state.items() if name != "Mixed_7c.branch_pool.conv.weight"}
    with pytest.raises(WeightsError, match=r"Mixed_7c.branch_pool.conv.weight is missing or unknown"):
        Inception.from_state(less)
    with pytest.raises(WeightsError, match="more.weight is missing or unknown"):
        Inception.from_state({**state, "more.weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match="not the weights of FID's Inception"):
        Inception.from_state({**state, "Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 5, 5)})
