"""Every system, and everything that works on a head, refuses the same arguments in the same words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import threedpsp
from tests.core.small_networks import ENCODER, small_generator
from threedpsp.camera import Camera
from threedpsp.encoder.config import EncoderConfig
from threedpsp.encoder.encoder import build_encoder
from threedpsp.encoder.inversion import InversionNetwork, step_count
from threedpsp.encoder.pti import PivotalTuning, tune_generator
from threedpsp.encoder.refine import refine
from threedpsp.encoder.triplanenet import TriPlaneNet, TriPlaneNetConfig
from threedpsp.errors import InputError, WeightsError
from threedpsp.types import FaceCrop, Inversion, WPlus

GENERATOR = small_generator()
CROP = FaceCrop(torch.zeros(1, 3, 64, 64), Camera.frontal())
USES: dict[str, Callable[[Inversion], object]] = {
    "render": lambda head: threedpsp.render(GENERATOR, head, head.camera),
    "refine": lambda head: refine(GENERATOR, head, CROP),
    "tuning": lambda head: tune_generator(GENERATOR, head, CROP.image),
}


def head(n: int = 1, generator: str = GENERATOR.fingerprint) -> Inversion:
    return Inversion(WPlus(torch.zeros(n, GENERATOR.config.num_ws, GENERATOR.config.w_dim), generator), CROP.camera)


@pytest.mark.parametrize("name", USES)
def test_heads_of_another_generator_and_several_heads_are_refused(name: str):
    with pytest.raises(WeightsError, match="This latent belongs to generator another, not to .*Load the generator"):
        USES[name](head(generator="another"))
    with pytest.raises(InputError, match=f"{name} takes the inversion of one photo; got 2 heads"):
        USES[name](head(2))


def test_several_photos_of_one_head_are_refused():
    crop = FaceCrop(CROP.image.expand(3, -1, -1, -1), CROP.camera.expand(3))
    with pytest.raises(InputError, match=r"refine takes the inversion of one photo; got 1 head\(s\) and 3 photos"):
        refine(GENERATOR, head(), crop)
    with pytest.raises(InputError, match=r"tuning takes the inversion of one photo; got 1 head\(s\) and 3 photos"):
        tune_generator(GENERATOR, head(), crop.image)


def one_step() -> InversionNetwork:
    return build_encoder(EncoderConfig.from_dict({**ENCODER.to_dict(), "input_channels": 3}))


def triplanenet(config: TriPlaneNetConfig) -> TriPlaneNet:
    with torch.device("meta"):
        return TriPlaneNet(config)


@pytest.mark.parametrize(
    ("make", "steps", "message"),
    [
        (lambda: build_encoder(ENCODER), 0, "3dpsp makes at least one step; got 0"),
        (one_step, 2, "psp makes exactly one step; got 2"),
        (lambda: triplanenet(TriPlaneNetConfig.v1()), 4, "triplanenet-v1 makes 1 to 3 steps .1: ws, .*; got 4"),
        (lambda: triplanenet(TriPlaneNetConfig.v2()), 3, "triplanenet-v2 makes 1 to 2 steps .1: ws, 2: .*; got 3"),
        (lambda: PivotalTuning(GENERATOR), 0, "pti makes at least one step; got 0"),
    ],
    ids=["3dpsp", "psp", "triplanenet-v1", "triplanenet-v2", "pti"],
)
def test_a_number_of_steps_that_a_system_cannot_make_is_refused(
    make: Callable[[], InversionNetwork], steps: int, message: str
):
    with pytest.raises(InputError, match=message):
        step_count(make(), steps)
