"""The encoder at small sizes: against its published formulas written out, by name, by property."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch
import torch.nn.functional as F

from tests.golden import golden_path, relative_error
from threedpsp.camera import Camera
from threedpsp.encoder.config import EncoderConfig
from threedpsp.encoder.encoder import (
    Encoder,
    build_encoder,
    encoder_from_checkpoint,
    encoder_from_state,
    load_encoder_weights,
)
from threedpsp.errors import InputError, WeightsError

SMALL = EncoderConfig(
    input_resolution=32,
    depths=(1, 2, 2, 1),
    widths=(16, 16, 32, 48),
    fpn_width=48,
    num_ws=4,
    w_dim=20,
    coarse_rows=1,
    middle_rows=2,
    head_width=24,
)
CASES = {
    "3DpSp": SMALL,
    "pSp": dataclasses.replace(SMALL, input_channels=3, se_pool="avg", camera_features=0, head_pointwise=False),
    "shared": dataclasses.replace(SMALL, num_ws=6, fpn_width=32, shared_heads=True, head_pointwise=False, norm="group"),
}


def random_encoder(config: EncoderConfig) -> Encoder:
    """All tensors random, statistics and slopes too, so that none can be forgotten unseen."""
    encoder = build_encoder(config, seed=1)
    with torch.no_grad():
        for name, tensor in encoder.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point() and tensor.ndim == 1:
                tensor.add_(0.2 * torch.randn_like(tensor))
    return encoder


def written_out(
    config: EncoderConfig, state: dict[str, torch.Tensor], x: torch.Tensor, label: torch.Tensor
) -> torch.Tensor:
    """The published network's formulas, one after another."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        if config.norm == "batch":
            mean, var = (state[f"{name}.running_{what}"][:, None, None] for what in ("mean", "var"))
        else:  # groups of 16 channels
            groups = x.reshape(len(x), max(x.shape[1] // 16, 1), -1)
            mean, var = (
                statistic.repeat_interleave(x.shape[1] // groups.shape[1], 1)[:, :, None, None]
                for statistic in (groups.mean(2), groups.var(2, correction=0))
            )
        scaled = (x - mean) / torch.sqrt(var + 1e-5)
        return scaled * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]

    def prelu(x: torch.Tensor, name: str) -> torch.Tensor:
        return torch.where(x > 0, x, x * state[f"{name}.weight"][:, None, None])

    def leaky(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, 0.01 * x)

    def bottleneck(x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        y = F.conv2d(norm(x, f"{name}.res_layer.0"), state[f"{name}.res_layer.1.weight"], padding=1)
        y = F.conv2d(prelu(y, f"{name}.res_layer.2"), state[f"{name}.res_layer.3.weight"], stride=stride, padding=1)
        y = norm(y, f"{name}.res_layer.4")
        pooled = (y.amax if config.se_pool == "max" else y.mean)((2, 3), keepdim=True)
        gate = F.conv2d(F.conv2d(pooled, state[f"{name}.res_layer.5.fc1.weight"]).clamp(min=0),
                        state[f"{name}.res_layer.5.fc2.weight"])  # fmt: skip
        if f"{name}.shortcut_layer.0.weight" in state:
            projected = F.conv2d(x, state[f"{name}.shortcut_layer.0.weight"], stride=stride)
            shortcut = norm(projected, f"{name}.shortcut_layer.1")
        else:
            shortcut = x[:, :, ::stride, ::stride]
        return y / (1 + torch.exp(-gate)) + shortcut

    def conv(x: torch.Tensor, name: str, **kwargs: int) -> torch.Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **kwargs)

    def head(features: torch.Tensor, name: str) -> torch.Tensor:
        if config.camera_features:
            hidden = leaky(label @ state[f"{name}.linear_camera.0.weight"].T + state[f"{name}.linear_camera.0.bias"])
            code = hidden @ state[f"{name}.linear_camera.2.weight"].T + state[f"{name}.linear_camera.2.bias"]
            tiled = torch.sigmoid(code)[:, :, None, None].repeat(1, 1, *features.shape[2:])
            features = torch.cat([features, tiled], 1)
        index = 0
        while features.shape[-1] > 1:
            if config.head_pointwise:
                features = leaky(conv(features, f"{name}.convs.{index}"))
                index += 2
            features = leaky(conv(features, f"{name}.convs.{index}", stride=2, padding=1))
            index += 2
        weight = state[f"{name}.linear.weight"] / math.sqrt(config.head_width)
        return (features[:, :, 0, 0] @ weight.T + state[f"{name}.linear.bias"]).reshape(len(x), -1, config.w_dim)

    y = prelu(norm(F.conv2d(x, state["input_layer.0.weight"], padding=1), "input_layer.1"), "input_layer.2")
    stages, block = [], 0
    for depth in config.depths:
        for index in range(depth):
            y = bottleneck(y, f"body.{block}", 2 if index == 0 else 1)
            block += 1
        stages.append(y)
    p3 = conv(stages[3], "latlayer0") if config.fpn_width != config.widths[3] else stages[3]
    up = {"mode": "bilinear", "align_corners": True, "scale_factor": 2}
    p2 = F.interpolate(p3, **up) + conv(stages[2], "latlayer1")  # type: ignore[arg-type]
    p1 = F.interpolate(p2, **up) + conv(stages[1], "latlayer2")  # type: ignore[arg-type]
    rows = ((p3, config.coarse_rows), (p2, config.middle_rows), (p1, config.fine_rows))
    inputs = [features for features, count in rows for _ in range(1 if config.shared_heads else count)]
    return torch.cat([head(features, f"styles.{i}") for i, features in enumerate(inputs)], 1)


@pytest.mark.parametrize("config", CASES.values(), ids=CASES.keys())
def test_encoder_equals_its_formulas(config: EncoderConfig) -> None:
    encoder = random_encoder(config)
    x = torch.randn(2, config.input_channels, 32, 32)
    camera = Camera.orbit(torch.tensor([-20.0, 15.0]), torch.tensor([5.0, -3.0]))
    with torch.no_grad():
        actual = encoder(x, camera)
        expected = written_out(config, encoder.state_dict(), x, camera.label)
    assert actual.shape == (2, config.num_ws, config.w_dim)
    assert relative_error(actual, expected) < 1e-5  # float32 sums in another order; the worst seen is 1e-6


@pytest.mark.parametrize("name, config", [("3dpsp", EncoderConfig.threedpsp()), ("psp", EncoderConfig.psp())])
def test_state_dict_has_the_published_names_and_shapes(name: str, config: EncoderConfig) -> None:
    published = json.loads(golden_path(f"encoder_{name}.weights.json").read_text())["tensors"]
    with torch.device("meta"):
        state = Encoder(config).state_dict()
    own = {k: list(v.shape) for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert own == {k: v["shape"] for k, v in published.items()}


def test_published_encoder_has_the_published_size() -> None:
    with torch.device("meta"):
        encoder = Encoder(EncoderConfig.threedpsp())
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(230.2e6, rel=1e-3)
    assert sum(p.numel() for p in encoder.body.parameters()) == pytest.approx(31.0e6, rel=1e-2)
    assert sum(p.numel() for p in encoder.styles.parameters()) == pytest.approx(199.0e6, rel=1e-3)


def test_tiny_encoder_fits_its_budget() -> None:
    encoder = build_encoder(EncoderConfig.tiny(num_ws=8, w_dim=256))
    assert sum(p.numel() for p in encoder.parameters()) < 5e6  # 10 MB in float16
    with torch.no_grad():
        assert encoder(torch.zeros(1, 6, 128, 128), Camera.frontal()).shape == (1, 8, 256)


def test_permuting_the_batch_permutes_the_output() -> None:
    encoder = random_encoder(SMALL)
    x, camera = torch.randn(3, 6, 32, 32), Camera.orbit(torch.tensor([-20.0, 0.0, 25.0]))
    order = [2, 0, 1]
    with torch.no_grad():
        permuted = Camera(camera.cam2world[order], camera.intrinsics[order])
        assert torch.allclose(encoder(x, camera)[order], encoder(x[order], permuted), atol=1e-5)


def test_camera_changes_the_output_only_where_the_encoder_sees_it() -> None:
    left, right = Camera.orbit(-20.0), Camera.orbit(20.0)
    with torch.no_grad():
        x = torch.randn(1, 6, 32, 32)
        assert not torch.allclose(random_encoder(SMALL)(x, left), random_encoder(SMALL)(x, right))
        psp = random_encoder(CASES["pSp"])
        assert torch.equal(psp(x[:, :3], left), psp(x[:, :3]))


def test_forward_refuses_what_it_cannot_use() -> None:
    encoder = random_encoder(SMALL)
    with pytest.raises(InputError, match=r"takes \[N,6, 32, 32\]"):
        encoder(torch.zeros(1, 3, 32, 32), Camera.frontal())
    with pytest.raises(InputError, match="needs the camera"):
        encoder(torch.zeros(1, 6, 32, 32))


def test_checkpoint_round_trip_keeps_everything() -> None:
    encoder = random_encoder(CASES["shared"])
    encoder.latent_avg.normal_()
    encoder.generator_fingerprint = "0123456789abcdef"
    tensors, metadata = encoder.checkpoint()
    again = encoder_from_checkpoint(tensors, metadata)
    x = torch.randn(1, 6, 32, 32)
    with torch.no_grad():
        assert torch.equal(again(x, Camera.frontal()), encoder(x, Camera.frontal()))
    assert torch.equal(again.latent_avg, encoder.latent_avg)
    assert (again.generator_fingerprint, again.config) == ("0123456789abcdef", encoder.config)
    assert not again.training


def test_weights_that_do_not_fit_are_refused_by_name() -> None:
    encoder = random_encoder(SMALL)
    state = {k: v for k, v in encoder.state_dict().items() if not k.endswith("num_batches_tracked")}
    encoder_from_state(SMALL, state)  # step counters may be missing
    with pytest.raises(WeightsError, match="1 missing .first: latlayer1.bias.; 1 unknown .first: surplus"):
        broken = {**state, "surplus": torch.zeros(1)}
        del broken["latlayer1.bias"]
        load_encoder_weights(encoder, broken)
    with pytest.raises(WeightsError, match="of another shape"):
        load_encoder_weights(encoder, {**state, "latlayer1.bias": torch.zeros(3)})
    with pytest.raises(WeightsError, match="does not describe an encoder"):
        encoder_from_checkpoint(state, {"kind": "generator"})
    with pytest.raises(WeightsError, match="latent_avg"):
        encoder_from_checkpoint(*({**encoder.checkpoint()[0], "latent_avg": torch.zeros(1)}, encoder.checkpoint()[1]))


def test_config_survives_json_and_refuses_nonsense() -> None:
    config = EncoderConfig.tiny(num_ws=9, w_dim=128)
    assert EncoderConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(InputError, match="Unknown encoder setting"):
        EncoderConfig.from_dict({"with": 3})
    with pytest.raises(InputError, match="leaves -1 fine rows"):
        EncoderConfig(num_ws=6)
    with pytest.raises(InputError, match="power of two"):
        EncoderConfig(input_resolution=100)
    with pytest.raises(InputError, match="input_channels"):
        EncoderConfig(input_channels=4)


def test_seed_decides_a_new_encoder_and_leaves_the_global_one_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = build_encoder(SMALL, seed=3), build_encoder(SMALL, seed=3)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first.latlayer1.weight, second.latlayer1.weight)
    assert not torch.equal(first.latlayer1.weight, build_encoder(SMALL, seed=4).latlayer1.weight)
