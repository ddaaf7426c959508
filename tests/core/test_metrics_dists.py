"""DISTS on drawn weights: its properties, and what it says where files are missing.

Its values were compared once with those of the package dists-pytorch on drawn weights of VGG16: equal to 1e-4.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from threedpsp.errors import MissingDependencyError, WeightsError
from threedpsp.metrics.dists import CHANNELS, DISTS, L2Pool
from threedpsp.metrics.trunks import VGG_CHANNELS, VGG_CONVS


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """alpha and beta, and VGG16's convolutions, drawn."""
    folder = tmp_path_factory.mktemp("dists")
    torch.manual_seed(0)
    state, before, number = {}, 3, 0
    for count, width in zip(VGG_CONVS, VGG_CHANNELS, strict=True):
        for _ in range(count):
            state[f"features.{number}.weight"] = torch.randn(width, before, 3, 3) * (2 / (9 * before)) ** 0.5
            state[f"features.{number}.bias"] = torch.zeros(width)
            before, number = width, number + 2
        number += 1
    torch.save(state, folder / "vgg.pth")
    torch.save({name: torch.rand(1, sum(CHANNELS), 1, 1) for name in ("alpha", "beta")}, folder / "weights.pt")
    return folder / "weights.pt", folder / "vgg.pth"


@pytest.fixture(scope="module")
def dists(files: tuple[Path, Path]) -> DISTS:
    return DISTS(weights_path=files[0], trunk_path=files[1])


def test_equal_images_have_no_distance_and_worse_ones_more(dists: DISTS):
    image = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8) * 2 - 1, 64, mode="bilinear")
    noise = torch.randn_like(image)
    near, far = ((image + share * noise).clamp(-1, 1) for share in (0.05, 0.5))
    assert dists(image, image).item() == pytest.approx(0, abs=1e-6)
    assert 0 < dists(image, near).item() < dists(image, far).item() < 1
    assert dists(image, far).item() == pytest.approx(dists(far, image).item(), abs=1e-6)


def test_texture_moved_a_little_counts_less_than_other_texture(dists: DISTS):
    """What the measure is for: the same grass elsewhere is the same grass."""
    texture = torch.rand(1, 3, 64, 72) * 2 - 1
    moved, same = texture[..., 2:66], texture[..., :64]
    brighter = (same * 0.5 + 0.4).clamp(-1, 1)
    assert dists(same, moved).item() < dists(same, brighter).item()


def test_pooling_keeps_a_flat_map_and_halves_it():
    flat = torch.full((1, 2, 8, 8), 3.0)
    pooled = L2Pool()(flat)
    assert pooled.shape == (1, 2, 4, 4)
    torch.testing.assert_close(pooled[..., 1:, 1:], flat[..., :3, :3])


def test_missing_and_wrong_files_are_named(files: tuple[Path, Path], tmp_path: Path):
    with pytest.raises(MissingDependencyError, match="weights download vgg16"):
        DISTS(weights_path=files[0], trunk_path=tmp_path / "absent.pth")
    with pytest.raises(WeightsError, match="not DISTS' file"):
        DISTS(weights_path=files[1], trunk_path=files[1])
