"""TriPlaneNet: its branch against formulas (recorded values: tests/test_parity.py), and the two networks together."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
import torch.nn.functional as F

from tests.core.small_networks import ENCODER, GENERATOR, small_generator
from tests.golden import relative_error
from threedpsp.camera import Camera
from threedpsp.eg3d.generator import Generator
from threedpsp.encoder.inversion import compute_latent_avg, invert, invert_steps
from threedpsp.encoder.methods import build_method, method_from_checkpoint
from threedpsp.encoder.triplane_branch import BranchConfig, TriplaneBranch
from threedpsp.encoder.triplanenet import TriPlaneNet, TriPlaneNetConfig, channels_first, channels_last
from threedpsp.errors import InputError, WeightsError

TOLERANCE = 1e-5  # float32 sums in another order; the worst seen is 1.3e-6
PSP = dataclasses.replace(
    ENCODER, input_channels=3, camera_features=0, se_pool="avg", shared_heads=False, head_pointwise=False
)
SMALL = BranchConfig(
    resolution=32, depths=(1, 2, 1, 2), widths=(16, 16, 16, 32), up_channels=(32, 16, 16, 8), plane_channels=24
)
CASES = {
    "v1": SMALL,
    "v2 pixelshuffle": dataclasses.replace(SMALL, input_channels=9, sees_planes=True),
    "v2 upsample": dataclasses.replace(SMALL, input_channels=9, sees_planes=True, upsampler="upsample"),
}
CAMERAS = Camera.orbit(torch.tensor([-15.0, 10.0]))


def randomised(network: torch.nn.Module, seed: int = 0) -> None:
    """All tensors random, statistics and slopes too, so that none can be forgotten unseen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.is_floating_point() and tensor.ndim == 1:
                tensor.add_(torch.empty_like(tensor).normal_(0, 0.2, generator=generator))
            elif tensor.is_floating_point():
                tensor.normal_(0, tensor[0].numel() ** -0.5, generator=generator)


def small_network(config: BranchConfig) -> TriPlaneNet:
    network = TriPlaneNet(TriPlaneNetConfig(PSP, config)).eval()
    randomised(network)
    generator = small_generator()
    network.latent_avg.copy_(compute_latent_avg(generator, 64))
    network.generator_fingerprint = generator.fingerprint
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return small_generator()


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    random = torch.Generator().manual_seed(5)
    return F.interpolate(torch.rand(2, 3, 8, 8, generator=random) * 2 - 1, size=64, mode="bilinear")


@pytest.mark.parametrize("config", CASES.values(), ids=CASES.keys())
def test_branch_equals_its_formulas(config: BranchConfig) -> None:
    branch = TriplaneBranch(config).eval()
    randomised(branch, seed=1)
    state = branch.state_dict()

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var, gain, bias = (
            state[f"{name}.{what}"][:, None, None] for what in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * gain + bias

    def prelu(x: torch.Tensor, name: str) -> torch.Tensor:
        return torch.where(x > 0, x, x * state[f"{name}.weight"][:, None, None])

    def conv(x: torch.Tensor, name: str, padding: int = 1) -> torch.Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=padding)

    def grown(x: torch.Tensor) -> torch.Tensor:
        if config.upsampler == "upsample":
            return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        n, c, h, w = x.shape
        return x.reshape(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // 4, 2 * h, 2 * w)

    def double(x: torch.Tensor, name: str) -> torch.Tensor:
        name = f"{name}.conv.double_conv"
        y = prelu(conv(norm(x, f"{name}.0"), f"{name}.1"), f"{name}.2")
        return prelu(prelu(conv(y, f"{name}.3"), f"{name}.4"), f"{name}.5")

    x, planes = torch.randn(2, config.input_channels, 32, 32), torch.randn(2, 24, 32, 32)
    with torch.no_grad():
        trunk = [branch.input_layer(x)]  # the trunk itself is tested with the encoder
        for block in branch.body:
            trunk.append(block(trunk[-1]))
        after = dict(enumerate(trunk[1:]))  # depths 1, 2, 1, 2: stages end after blocks 0, 2, 3; the last begins at 4
        y = double(torch.cat([after[4], after[5]], 1), "up1")
        for index, skip in ((2, after[3]), (3, after[2]), (4, after[0])):
            y = double(torch.cat([skip, grown(y)], 1), f"up{index}")
        y, head = grown(y), "final_head"
        if config.sees_planes:
            y, head = torch.cat([planes, y], 1), "final_head_two"
        y = prelu(conv(prelu(conv(y, f"{head}.0"), f"{head}.1"), f"{head}.2"), f"{head}.3")
        expected = conv(y, f"{head}.4", padding=0)
        actual = branch(x, planes if config.sees_planes else None)
    assert relative_error(actual, expected) < TOLERANCE


def test_v1_is_the_path_written_out(generator: Generator, photos: torch.Tensor) -> None:
    network = small_network(SMALL)
    x = F.avg_pool2d(photos, 2)
    with torch.no_grad():
        ws = network.psp_encoder(x) + network.latent_avg
        planes = generator.planes(ws)
        expected = [generator.render(planes, ws, CAMERAS).image]
        for _ in range(2):  # the second pass replaces the first one's offset
            y = F.avg_pool2d(expected[-1], 2)
            offset = network.triplanenet_encoder(torch.cat([y, x - y], 1))
            offset = offset.reshape(2, 3, 8, 32, 32).permute(0, 1, 3, 4, 2)
            changed = dataclasses.replace(planes, features=planes.features + offset)
            expected.append(generator.render(changed, ws, CAMERAS).image)
    steps = list(invert_steps(network, generator, photos, CAMERAS, 3))
    assert len(steps) == 3 and steps[0].plane_offset is None
    for step, image in zip(steps, expected, strict=True):
        torch.testing.assert_close(step.ws, ws, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(step.render.image, image, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(steps[2].plane_offset, offset, atol=1e-4, rtol=1e-4)


def test_v2_sees_the_mirrored_photo_and_the_planes(generator: Generator, photos: torch.Tensor) -> None:
    network = small_network(CASES["v2 upsample"])
    x = F.avg_pool2d(photos, 2)
    with torch.no_grad():
        ws = network.psp_encoder(x) + network.latent_avg
        planes = generator.planes(ws)
        y, mirrored = (F.avg_pool2d(generator.render(planes, ws, c).image, 2) for c in (CAMERAS, CAMERAS.mirrored()))
        inputs = torch.cat([y, x - y, x.flip(3) - mirrored], 1)
        published = planes.features.permute(0, 1, 4, 2, 3).reshape(2, 24, 32, 32)
        offset = network.triplanenet_encoder(inputs, published).reshape(2, 3, 8, 32, 32).permute(0, 1, 3, 4, 2)
    inversion = invert(network, generator, photos, CAMERAS)
    assert inversion.plane_offset is not None and len(inversion.steps) == 2
    torch.testing.assert_close(inversion.plane_offset, offset, atol=1e-4, rtol=1e-4)
    assert inversion.info["method"] == "triplanenet-v2"


def test_plane_layouts_are_each_others_inverse() -> None:
    planes = torch.arange(2 * 12 * 4 * 4.0).reshape(2, 12, 4, 4)
    assert torch.equal(channels_first(channels_last(planes)), planes)
    assert torch.equal(channels_last(planes)[0, 1, :, :, 2], planes[0, 6])  # second plane, third channel of four


def test_gradients_reach_the_branch_and_stop_between_steps(generator: Generator, photos: torch.Tensor) -> None:
    network = small_network(SMALL).requires_grad_(True)
    first, second = invert_steps(network, generator, photos, CAMERAS, differentiable=True)
    second.render.image.square().mean().backward()
    assert network.triplanenet_encoder.get_parameter("final_head.0.weight").grad.abs().sum() > 0
    assert network.psp_encoder.latlayer1.weight.grad is None
    first.render.image.square().mean().backward()
    assert network.psp_encoder.latlayer1.weight.grad.abs().sum() > 0


def test_checkpoint_round_trip_keeps_everything(generator: Generator, photos: torch.Tensor) -> None:
    network = small_network(CASES["v2 pixelshuffle"])
    tensors, metadata = network.checkpoint()
    halved = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    for again in (method_from_checkpoint(tensors, metadata, generator), method_from_checkpoint(halved, metadata)):
        assert isinstance(again, TriPlaneNet) and again.config == network.config and not again.training
        assert again.generator_fingerprint == generator.fingerprint
        assert {p.dtype for p in again.parameters()} == {torch.float32}
    same = method_from_checkpoint(tensors, metadata)
    a, b = (invert(n, generator, photos, CAMERAS).plane_offset for n in (network, same))
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_missing_latent_avg_is_made_from_the_generator(generator: Generator) -> None:
    network = small_network(SMALL)
    config = json.loads(json.dumps(network.config.to_dict()))
    built = build_method("triplanenet", config, network.state_dict(), generator=generator)
    torch.testing.assert_close(built.latent_avg, compute_latent_avg(generator), atol=1e-6, rtol=1e-5)
    with pytest.raises(WeightsError, match="latent_avg"):
        build_method("triplanenet", config, network.state_dict())
    one = build_method("triplanenet", config, {**network.state_dict(), "latent_avg": torch.arange(24.0)})
    assert torch.equal(one.latent_avg[0, 3], torch.arange(24.0))


def test_versions_are_told_apart_by_their_shapes() -> None:
    for config in (TriPlaneNetConfig.v1(), TriPlaneNetConfig.v2(), TriPlaneNetConfig.v2("upsample")):
        with torch.device("meta"):
            state = TriPlaneNet(config).state_dict()
        assert TriPlaneNetConfig.of_state(state) == config
    with pytest.raises(WeightsError, match="not the weights of a TriPlaneNet"):
        TriPlaneNetConfig.of_state({})


def test_steps_and_sizes_that_do_not_fit_are_refused(generator: Generator, photos: torch.Tensor) -> None:
    network = small_network(SMALL)
    assert len(invert(network, generator, photos, CAMERAS, 1).steps) == 1
    with pytest.raises(InputError, match="3: a second pass.; got 4"):
        invert(network, generator, photos, CAMERAS, 4)
    with pytest.raises(InputError, match="triplanenet-v2 makes 1 to 2 steps .1: ws, 2: the planes too.; got 3"):
        invert(small_network(CASES["v2 upsample"]), generator, photos, CAMERAS, 3)
    wider = Generator(dataclasses.replace(GENERATOR, plane_channels=16))
    network.generator_fingerprint = ""
    with pytest.raises(WeightsError, match="32 pixels and 24 channels, the generator has 32 and 48"):
        invert(network, wider, photos, CAMERAS)
    with pytest.raises(InputError, match="the photo alone"):
        TriPlaneNetConfig(ENCODER)
    with pytest.raises(InputError, match="9 and the planes"):
        TriPlaneNetConfig(PSP, dataclasses.replace(SMALL, input_channels=9))
    with pytest.raises(InputError, match="also reads the planes"):
        TriplaneBranch(CASES["v2 upsample"])(torch.zeros(1, 9, 32, 32))
