"""The generator with its convolutions in bfloat16, beside itself in float32."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.kernels.agreement import threads
from threedpsp.device import random_generator
from threedpsp.eg3d.config import GeneratorConfig
from threedpsp.eg3d.generator import Generator
from threedpsp.precision import BFLOAT16, FLOAT32, Precision
from threedpsp.weights.load import load_generator

HEADS = 20


def head(generator: Generator, seed: int) -> Tensor:
    z = torch.randn(1, generator.config.z_dim, generator=random_generator(seed))
    return generator.mapping(z, generator.frontal_camera)


def picture(generator: Generator, ws: Tensor, precision: Precision) -> Tensor:
    generator.precision = precision
    return generator.synthesis(ws, generator.frontal_camera).image


def psnr(a: Tensor, b: Tensor) -> float:
    """Of pictures in [-1,1]."""
    return 10 * torch.log10(4 / (a - b).square().mean()).item()


@torch.no_grad()
def test_pictures_of_tiny_are_the_same_to_the_eye() -> None:
    """45 dB; 66 is the lowest seen. At 48 dB the mean difference is one of 256 grey values."""
    generator = load_generator("tiny", "cpu")
    for seed in range(HEADS):
        ws = head(generator, seed)
        whole = picture(generator, ws, FLOAT32)
        assert psnr(picture(generator, ws, BFLOAT16), whole) > 45
        assert picture(generator, ws, BFLOAT16).dtype == torch.float32


@torch.no_grad()
def test_pictures_at_full_size_are_close_with_random_weights() -> None:
    """40 dB, 51 seen: random weights make noise, in which errors cancel less than in a face."""
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig.ffhq512_128()).train(False)
    ws = head(generator, 0)
    assert psnr(picture(generator, ws, BFLOAT16), picture(generator, ws, FLOAT32)) > 40


@pytest.mark.parametrize(("precision", "decibels"), [(FLOAT32, 100), (BFLOAT16, 60)])
@torch.no_grad()
def test_runs_change_nothing_and_threads_next_to_nothing(precision: Precision, decibels: float) -> None:
    """With one thread torch convolves single pixels by another function, so results differ by roundings."""
    generator = load_generator("tiny", "cpu")
    ws = head(generator, 0)
    found = []
    for count in (1, 1, 2, 2):
        with threads(count):
            found.append(picture(generator, ws, precision))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[2], found[3])
    assert psnr(found[0], found[2]) > decibels


def test_gradients_are_those_of_float32_but_for_rounding() -> None:
    """Of ws and of a layer's weights: their directions agree to three digits."""
    generator = load_generator("tiny", "cpu")
    weight = generator.get_parameter("superresolution.block0.conv0.weight").requires_grad_()
    gradients = {}
    for precision in (FLOAT32, BFLOAT16):
        ws = head(generator, 0).detach().requires_grad_()
        picture(generator, ws, precision).square().mean().backward()
        assert weight.grad is not None and ws.grad is not None and ws.grad.dtype == weight.grad.dtype == torch.float32
        gradients[precision] = torch.cat(
            [ws.grad.flatten(), weight.grad.flatten() / weight.grad.norm() * ws.grad.norm()]
        )
        weight.grad = None
    assert torch.cosine_similarity(gradients[FLOAT32], gradients[BFLOAT16], 0) > 0.999


@torch.no_grad()
def test_float16_keeps_within_its_range() -> None:
    """Only cards use it; what it computes, slowly, on a processor is finite and right."""
    generator = load_generator("tiny", "cpu")
    ws = head(generator, 1)
    float16 = Precision(superresolution=torch.float16)
    assert psnr(picture(generator, ws, float16), picture(generator, ws, FLOAT32)) > 60
