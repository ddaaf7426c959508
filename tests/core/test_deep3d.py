"""Deep3DFaceRecon's ResNet-50: against recorded coefficients, its formulas written out, and photo to camera."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.golden import golden_path, load_golden, relative_error, seeded_weights
from threedpsp.errors import InputError, WeightsError
from threedpsp.preprocessing import camera_from_deep3d, prepare_photo
from threedpsp.preprocessing import prepare as prepare_module
from threedpsp.preprocessing.deep3d import Coefficients, Deep3D, deep3d_crop
from threedpsp.preprocessing.landmarks import Face

TOLERANCE = 1e-5  # float32 sums in another order; the worst seen is 6e-7


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return seeded_weights("deep3d_resnet50.weights.json")


@pytest.fixture(scope="module")
def network(weights: dict[str, torch.Tensor]) -> Deep3D:
    return Deep3D.from_state({"net_recon": weights, "opt_00": {}})


def test_network_equals_its_formulas(network: Deep3D, weights: dict[str, torch.Tensor]) -> None:
    def conv_bn(x: torch.Tensor, conv: str, bn: str, stride: int = 1, padding: int = 0) -> torch.Tensor:
        y = F.conv2d(x, weights[f"backbone.{conv}.weight"], stride=stride, padding=padding)
        mean, var, gain, bias = (
            weights[f"backbone.{bn}.{what}"][:, None, None]
            for what in ("running_mean", "running_var", "weight", "bias")
        )
        return (y - mean) / torch.sqrt(var + 1e-5) * gain + bias

    image = torch.rand(1, 3, 224, 224)
    x = conv_bn(image, "conv1", "bn1", 2, 3).clamp(min=0)
    x = F.pad(x, (1, 1, 1, 1), value=float("-inf")).unfold(2, 3, 2).unfold(3, 3, 2).amax((4, 5))
    for layer, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            name, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            y = conv_bn(x, f"{name}.conv1", f"{name}.bn1").clamp(min=0)
            y = conv_bn(y, f"{name}.conv2", f"{name}.bn2", stride, 1).clamp(min=0)
            y = conv_bn(y, f"{name}.conv3", f"{name}.bn3")
            if block == 0:
                x = conv_bn(x, f"{name}.downsample.0", f"{name}.downsample.1", stride)
            x = (x + y).clamp(min=0)
    pooled = x.mean((2, 3))
    parts = [pooled @ weights[f"final_layers.{i}.weight"][:, :, 0, 0].T + weights[f"final_layers.{i}.bias"]
             for i in range(7)]  # fmt: skip
    assert relative_error(network(image), torch.cat(parts, 1)) < TOLERANCE


def test_coefficients_are_split_as_published() -> None:
    found = Coefficients.split(torch.arange(257.0)[None])
    sizes = {field.name: getattr(found, field.name).shape[1] for field in dataclasses.fields(found)}
    assert sizes == {"identity": 80, "expression": 64, "texture": 80, "angle": 3, "light": 27, "translation": 3}
    assert found.angle[0].tolist() == [224, 225, 226] and found.translation[0].tolist() == [254, 255, 256]


def test_crop_is_the_published_input() -> None:
    tensors, _ = load_golden("align_crop")
    for five, expected in zip(tensors["landmarks5_xy"], tensors["deep3d_input224_u8"], strict=True):
        crop = deep3d_crop(tensors["image_u8"].numpy(), five.numpy())
        assert np.abs(crop.astype(int) - expected.numpy().astype(int)).max() <= 1  # resamplers round differently


def test_camera_of_a_photo_is_that_of_its_coefficients(network: Deep3D) -> None:
    tensors, _ = load_golden("align_crop")
    image, five = tensors["image_u8"].numpy(), tensors["landmarks5_xy"][0].numpy()
    values = network(torch.from_numpy(deep3d_crop(image, five)).permute(2, 0, 1)[None].float() / 255)
    expected = camera_from_deep3d(values[:, 224:227], values[:, 254:257])
    camera = network.camera(image, five)
    torch.testing.assert_close(camera.cam2world, expected.cam2world)
    assert camera.position.norm().item() == pytest.approx(2.7, abs=1e-4)
    with pytest.raises(InputError, match="coincide"):
        network.camera(image, np.zeros((5, 2)))


def test_prepare_takes_the_camera_from_deep3d_when_given(network: Deep3D, monkeypatch: pytest.MonkeyPatch) -> None:
    """Landmarks are put in by hand, so that neither mediapipe nor its model is needed."""
    tensors, _ = load_golden("align_crop")
    image, five = tensors["image_u8"].numpy(), tensors["landmarks5_xy"][0].numpy()
    points = np.repeat(five[2:3], 478, 0).astype(np.float32)
    points[[33, 133, 159, 145]], points[[263, 362, 386, 374]], points[1] = five[0], five[1], five[2]
    points[61], points[291] = five[3], five[4]
    face = Face(points, np.zeros(478, np.float32))
    monkeypatch.setattr(prepare_module, "detect_faces", lambda _: [face])
    crop = prepare_photo(image, deep3d=network)
    torch.testing.assert_close(crop.camera.cam2world, network.camera(image, five).cam2world)
    assert crop.image.shape == (1, 3, 512, 512)


def test_names_and_shapes_are_the_published(network: Deep3D) -> None:
    published = json.loads(golden_path("deep3d_resnet50.weights.json").read_text())["tensors"]
    own = {k: list(v.shape) for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert own == {k: v["shape"] for k, v in published.items()}


def test_weights_of_another_network_are_refused(weights: dict[str, torch.Tensor]) -> None:
    partly = {name: value for name, value in weights.items() if name != "final_layers.3.bias"}
    with pytest.raises(WeightsError, match="1 tensors missing, 1 unknown"):
        Deep3D.from_state({**partly, "surplus": torch.zeros(1)})
    with pytest.raises(WeightsError, match="ResNet-50"):
        Deep3D.from_state({**weights, "final_layers.3.bias": torch.zeros(4)})


def test_it_stays_in_evaluation_mode_and_refuses_other_sizes(network: Deep3D) -> None:
    assert not network.train().training and not any(p.requires_grad for p in network.parameters())
    with pytest.raises(InputError, match=r"\[N,3,224,224\]"):
        network(torch.zeros(1, 3, 100, 100))
