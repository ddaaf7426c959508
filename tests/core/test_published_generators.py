"""The configurations of the published generators, and what their settings change."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.golden import DATA
from tests.parity.case import read_case
from tests.parity.generator import recorded_config
from threedpsp.camera import Camera
from threedpsp.eg3d.config import SUPERRESOLUTION, GeneratorConfig, RenderConfig
from threedpsp.eg3d.generator import Generator
from threedpsp.eg3d.published import published_config
from threedpsp.errors import InputError

NAMES = ["ffhq512_128", "ffhqrebalanced512_128", "ffhq512_64", "afhqcats512_128", "shapenetcars128_64"]
RENDERING = {
    "superresolution_module": "training.superresolution.SuperresolutionHybrid8XDC",
    "c_gen_conditioning_zero": False,
    "sr_antialias": True,
    "disparity_space_sampling": False,
    "depth_resolution": 48,
    "depth_resolution_importance": 48,
    "ray_start": 2.25,
    "ray_end": 3.3,
    "box_warp": 1,
}
INIT = {"z_dim": 512, "c_dim": 25, "w_dim": 512, "img_resolution": 512, "mapping_kwargs": {"num_layers": 2}}
RELEASED = {**INIT, "conv_clamp": None, "sr_num_fp16_res": 4}


def small(config: GeneratorConfig) -> GeneratorConfig:
    """The same with few channels, samples and rays."""
    rendering = dataclasses.replace(config.rendering, depth_resolution=4, depth_resolution_importance=4)
    return dataclasses.replace(
        config, z_dim=8, w_dim=8, channel_max=4, plane_channels=4, decoder_hidden=4, sr_channels=(4, 4),
        neural_rendering_resolution=16, rendering=rendering,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_published_configuration_has_14_rows_and_survives_json(name: str) -> None:
    config: GeneratorConfig = getattr(GeneratorConfig, name)()
    assert config.num_ws == 14
    assert GeneratorConfig.from_dict(config.to_dict()) == config
    assert str(config.img_resolution) in name and name.endswith(str(config.neural_rendering_resolution))


def test_cars_are_configured_as_recorded() -> None:
    recorded = recorded_config(read_case(DATA / "eg3d_cars128_small.safetensors"))
    cars = GeneratorConfig.shapenetcars128_64()
    expected = dataclasses.replace(
        cars,
        channel_max=16,  # the recorded network is a narrow one
        conv_clamp=256.0,  # the published default, which released files switch off
        sr_conv_clamp=None,  # recorded in float32
        rendering=dataclasses.replace(cars.rendering, depth_clamp="batch"),
    )
    assert recorded == expected


def test_faces_are_configured_as_their_file_says() -> None:
    assert published_config(RELEASED, RENDERING, 128) == GeneratorConfig.ffhqrebalanced512_128()
    assert published_config(RELEASED, RENDERING, 64) == GeneratorConfig.ffhq512_64()
    cats = {**RENDERING, "avg_camera_pivot": [0, 0, -0.06]}
    assert published_config(RELEASED, cats, 128) == GeneratorConfig.afhqcats512_128()


def test_absent_settings_have_the_published_networks_defaults() -> None:
    init = {k: v for k, v in INIT.items() if k != "mapping_kwargs"}
    config = published_config(init, RENDERING, 64)
    assert (config.mapping_layers, config.conv_clamp, config.sr_conv_clamp) == (8, 256.0, None)


@pytest.mark.parametrize(
    ("init", "rendering", "words"),
    [
        ({}, {"superresolution_module": "training.superresolution.SuperresolutionHybrid16X"}, "Hybrid16X"),
        ({}, {"clamp_mode": "relu"}, "softplus"),
        ({"img_resolution": 256}, {}, "img_resolution is 256"),
        ({}, {"ray_start": "auto"}, "both"),
    ],
)
def test_settings_that_no_published_generator_has_are_refused(init: dict, rendering: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        published_config({**RELEASED, **init}, {**RENDERING, **rendering}, 128)


def test_missing_settings_are_named() -> None:
    with pytest.raises(InputError, match="'box_warp'"):
        published_config(RELEASED, {k: v for k, v in RENDERING.items() if k != "box_warp"}, 128)
    with pytest.raises(InputError, match="8XDC, 8X, 4X"):
        GeneratorConfig().with_superresolution("16X")


@pytest.mark.parametrize("module", SUPERRESOLUTION)
def test_every_superresolution_makes_its_image(module: str) -> None:
    config = GeneratorConfig().with_superresolution(module)
    assert config.img_resolution == SUPERRESOLUTION[module].img_resolution
    generator = Generator(small(config)).eval()
    with torch.no_grad():
        render = generator.synthesis(torch.randn(1, 14, 8), Camera.frontal())
    assert render.image.shape == (1, 3, config.img_resolution, config.img_resolution)
    assert render.image.isfinite().all()


@pytest.mark.parametrize(("plane_resolution", "num_ws"), [(16, 6), (64, 10), (512, 16)])
def test_planes_of_any_side_have_their_number_of_rows(plane_resolution: int, num_ws: int) -> None:
    config = small(dataclasses.replace(GeneratorConfig.shapenetcars128_64(), plane_resolution=plane_resolution))
    generator = Generator(config).eval()
    assert config.num_ws == num_ws
    with torch.no_grad():
        ws = generator.mapping(torch.randn(2, 8), Camera.frontal())
        assert ws.shape == (2, num_ws, 8)
        assert generator.planes(ws).features.shape == (2, 3, plane_resolution, plane_resolution, 4)


def test_settings_added_later_do_not_change_a_fingerprint() -> None:
    config = GeneratorConfig()
    assert not {"conv_clamp", "decoder_lr_mul"} & set(config.to_dict())
    assert dataclasses.replace(config, conv_clamp=256.0).to_dict()["conv_clamp"] == 256.0


def test_backbone_is_clamped_where_the_setting_says() -> None:
    config = small(dataclasses.replace(GeneratorConfig.shapenetcars128_64(), plane_resolution=16))
    torch.manual_seed(0)
    free = Generator(config).eval()
    clamped = Generator(dataclasses.replace(config, conv_clamp=0.01)).eval()
    clamped.load_state_dict(free.state_dict())
    ws = torch.randn(1, 6, 8)
    with torch.no_grad():
        assert free.planes(ws).features.abs().max() > 0.1
        assert clamped.planes(ws).features.abs().max() <= 0.01 * 3  # skip connections add up three blocks


def test_decoders_learning_rate_multiplier_scales_weights_and_biases() -> None:
    config = small(dataclasses.replace(GeneratorConfig(rendering=RenderConfig()), plane_resolution=16))
    torch.manual_seed(0)
    plain = Generator(config)
    for parameter in plain.decoder.parameters():
        torch.nn.init.normal_(parameter)
    scaled = Generator(dataclasses.replace(config, decoder_lr_mul=0.5))
    scaled.load_state_dict(plain.state_dict())
    for ours, half in zip(plain.decoder.mlp(), scaled.decoder.mlp(), strict=True):
        torch.testing.assert_close(half, ours / 2)
