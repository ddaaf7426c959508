"""ST-LPIPS and LPIPS against values recorded from their own packages (tests/data/metrics_perceptual.safetensors)."""

from __future__ import annotations

import importlib.metadata
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tests.core.metric_inputs import seeded_heads, seeded_images, seeded_trunk
from tests.golden import load_golden, relative_error
from threedpsp.errors import InputError, MissingDependencyError, WeightsError
from threedpsp.metrics import LPIPS, STLPIPS, perceptual
from threedpsp.metrics.trunks import BlurPool, BlurredConv, unit_length
from threedpsp.precision import BFLOAT16, FLOAT32

SIZES = [(64, 64), (96, 80), (128, 128)]
# float32, sums in another order; the worst seen is 5e-7. A wrong padding or scaling costs 1e-2.
TOLERANCE = 5e-6


@cache
def stlpips(net: str) -> STLPIPS:
    return STLPIPS(net)


def image_pair(height: int, width: int, n: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    x = seeded_images(height, n, height, width)
    return x, 0.6 * x + 0.4 * seeded_images(height + 1, n, height, width)


@pytest.fixture
def drawn_lpips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # noqa: ANN201
    """Makes LPIPS with drawn weights, which lie where its files would lie."""

    def make(net: str) -> LPIPS:
        torch.save(seeded_heads(net), tmp_path / "heads.pth")
        torch.save(seeded_trunk(net), tmp_path / "trunk.pth")
        monkeypatch.setattr(perceptual, "package_file", lambda *_, **__: tmp_path / "heads.pth")
        return LPIPS(net, trunk_path=tmp_path / "trunk.pth")

    return make


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_stlpips_gives_the_values_of_its_package(net: str, size: tuple[int, int]) -> None:
    tensors, _ = load_golden("metrics_perceptual")
    actual = stlpips(net)(*image_pair(*size))
    assert relative_error(actual, tensors[f"stlpips_{net}_{size[0]}x{size[1]}"]) < TOLERANCE


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_stlpips_gives_the_gradient_of_its_package(net: str) -> None:
    tensors, _ = load_golden("metrics_perceptual")
    x, y = (image.double() for image in image_pair(64, 64, n=1))
    x.requires_grad_()
    # float64: in float32 the gradient jumps where rounding decides which pixel wins a max-pool
    STLPIPS(net).double()(x, y).sum().backward()
    assert relative_error(x.grad.float(), tensors[f"stlpips_{net}_gradient"]) < 1e-6


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_gives_the_values_of_its_package(net: str, drawn_lpips) -> None:  # noqa: ANN001
    tensors, _ = load_golden("metrics_perceptual")
    metric = drawn_lpips(net)
    for height, width in SIZES:
        actual = metric(*image_pair(height, width))
        assert relative_error(actual, tensors[f"lpips_{net}_{height}x{width}"]) < TOLERANCE, f"{height}x{width}"


@pytest.mark.parametrize("size", [(13, 14), (14, 13), (15, 15), (16, 16)], ids=str)
def test_blurred_convolution_equals_convolution_then_blur(size: tuple[int, int]) -> None:
    layer = BlurredConv(3, 4, 11, margin=2).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = BlurPool()(F.conv2d(x, layer.weight, layer.bias, padding=2))
    assert torch.allclose(layer(x), expected, atol=1e-12)


def test_equal_images_have_distance_zero_and_a_finite_gradient() -> None:
    x, _ = image_pair(64, 64)
    x = torch.cat([x, torch.zeros_like(x)]).requires_grad_()
    distance = stlpips("alex")(x, x.detach())
    distance.sum().backward()
    assert distance.abs().max() == 0
    assert x.grad.isfinite().all()


def test_pixels_without_features_stay_zero_with_a_finite_gradient() -> None:
    x = torch.zeros(1, 4, 2, 2, requires_grad=True)
    y = unit_length(x)
    y.sum().backward()
    assert y.abs().max() == 0
    assert x.grad.isfinite().all()


def test_features_of_a_target_can_be_kept() -> None:
    x, y = image_pair(64, 64)
    metric = stlpips("alex")
    kept = metric.features(y)
    assert torch.allclose(metric.distance(metric.features(x), kept), metric(x, y))
    one = metric.features(y[:1])
    assert torch.allclose(metric.distance(metric.features(x), one), metric(x, y[:1].expand_as(x)), atol=1e-6)


def test_a_shifted_photo_stays_nearer_than_a_noisy_one() -> None:
    x = F.interpolate(seeded_images(3, 1, 64, 64), scale_factor=2.0, mode="bilinear")
    shifted = x.roll(2, dims=3)
    noisy = x + (shifted - x).flatten()[torch.randperm(x.numel())].view_as(x)  # the same error, pixels in disorder
    assert stlpips("alex")(x, shifted) < 0.7 * stlpips("alex")(x, noisy)


def test_permuting_the_batch_permutes_the_distances() -> None:
    x, y = image_pair(64, 64)
    assert torch.allclose(stlpips("alex")(x.flip(0), y.flip(0)), stlpips("alex")(x, y).flip(0))


def test_weights_are_frozen() -> None:
    assert not any(parameter.requires_grad for parameter in stlpips("alex").parameters())


def test_tiny_images_and_unknown_trunks_are_refused() -> None:
    with pytest.raises(InputError, match="at least 32 pixels"):
        stlpips("alex")(torch.zeros(1, 3, 24, 64), torch.zeros(1, 3, 24, 64))
    with pytest.raises(InputError, match="alex, vgg; got 'squeeze'"):
        perceptual._check_name("squeeze")


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", absent)
    with pytest.raises(MissingDependencyError, match="pip install --no-deps stlpips_pytorch==0.0.2"):
        STLPIPS("alex")
    with pytest.raises(MissingDependencyError, match="pip install --no-deps lpips==0.1.4"):
        LPIPS("alex")


def test_a_missing_trunk_is_named_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "package_file", lambda *_, **__: tmp_path / "heads.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    expected = tmp_path / "hub" / "checkpoints" / "vgg16-397923af.pth"
    with pytest.raises(MissingDependencyError) as caught:
        LPIPS("vgg")
    assert str(expected) in str(caught.value)
    assert "https://download.pytorch.org/models/vgg16-397923af.pth" in str(caught.value)


def test_damaged_or_foreign_weights_are_refused(tmp_path: Path, drawn_lpips) -> None:  # noqa: ANN001
    drawn_lpips("alex")
    with pytest.raises(WeightsError, match="5 convolutions under 'features.'; expected 13"):
        LPIPS("vgg", trunk_path=tmp_path / "trunk.pth")
    (tmp_path / "trunk.pth").write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="cannot be read"):
        LPIPS("alex", trunk_path=tmp_path / "trunk.pth")


def test_hostile_weights_are_refused_and_not_run(tmp_path: Path, drawn_lpips) -> None:  # noqa: ANN001
    drawn_lpips("alex")
    torch.save(Touch(tmp_path / "ran"), tmp_path / "trunk.pth")
    with pytest.raises(WeightsError, match="trunk.pth cannot be read"):
        LPIPS("alex", trunk_path=tmp_path / "trunk.pth")
    torch.save([torch.zeros(2)], tmp_path / "trunk.pth")
    with pytest.raises(WeightsError, match="does not hold weights"):
        LPIPS("alex", trunk_path=tmp_path / "trunk.pth")
    assert not (tmp_path / "ran").exists()


def test_a_replaced_file_does_not_reach_into_loaded_weights(tmp_path: Path, drawn_lpips) -> None:  # noqa: ANN001
    metric = drawn_lpips("alex")
    before = metric(*image_pair(64, 64))
    for name in ("heads.pth", "trunk.pth"):
        with open(tmp_path / name, "r+b") as file:
            file.write(bytes(file.seek(0, 2)))
    assert torch.equal(metric(*image_pair(64, 64)), before)


class Touch:
    """Makes a file when it is unpickled by something that runs what a pickle says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_as_a_loss_in_bfloat16_it_is_near_and_sums_in_float32():
    """Distances differ by up to 3 % where they are small (seen: 1.4 %), directions of gradients hardly."""
    metric = STLPIPS("alex")
    smooth = torch.nn.functional.interpolate(torch.randn(2, 3, 8, 8), size=96, mode="bicubic").clamp(-1, 1)
    found = {}
    for precision in (FLOAT32, BFLOAT16):
        x = (smooth[:1] + 0.1 * torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))).requires_grad_()
        distance = metric(x, smooth[:1], precision)
        distance.sum().backward()
        assert distance.dtype == torch.float32 and x.grad is not None
        found[precision.name] = (distance.item(), x.grad.flatten())
    (exact, gradient), (near, other) = found["float32"], found["bfloat16"]
    assert exact == metric(x, smooth[:1]).item()  # measures are float32
    assert near != exact and abs(near / exact - 1) < 0.03
    assert torch.nn.functional.cosine_similarity(gradient, other, dim=0) > 0.98
