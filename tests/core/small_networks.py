"""A generator and an encoder that run in milliseconds, for tests of what connects them."""

from __future__ import annotations

import torch

from threedpsp.eg3d.config import GeneratorConfig, RenderConfig
from threedpsp.eg3d.generator import Generator
from threedpsp.encoder.config import EncoderConfig

GENERATOR = GeneratorConfig(
    z_dim=16,
    w_dim=24,
    img_resolution=64,
    channel_base=512,
    channel_max=16,
    start_resolution=8,
    plane_resolution=32,
    plane_channels=8,
    decoder_hidden=8,
    neural_rendering_resolution=32,
    sr_resolution=32,
    sr_up=(False, True),
    sr_channels=(8, 8),
    rendering=RenderConfig(depth_resolution=6, depth_resolution_importance=4),
)
ENCODER = EncoderConfig(
    input_resolution=32,
    depths=(1, 1, 1, 1),
    widths=(8, 8, 16, 16),
    fpn_width=16,
    num_ws=GENERATOR.num_ws,
    w_dim=24,
    coarse_rows=2,
    middle_rows=2,
    head_width=16,
    shared_heads=True,
)


def small_generator() -> Generator:
    """The same random one each time."""
    torch.manual_seed(0)
    return Generator(GENERATOR).eval().requires_grad_(False)
