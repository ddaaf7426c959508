"""Inputs of the metrics' recorded values, drawn from seeds: the recorder and the tests share them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

TORCHVISION_LAYERS = {
    "alex": {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)},
    "vgg": {
        0: (64, 3, 3), 2: (64, 64, 3), 5: (128, 64, 3), 7: (128, 128, 3), 10: (256, 128, 3), 12: (256, 256, 3),
        14: (256, 256, 3), 17: (512, 256, 3), 19: (512, 512, 3), 21: (512, 512, 3), 24: (512, 512, 3),
        26: (512, 512, 3), 28: (512, 512, 3),
    },
}  # fmt: skip
HEADS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}


def seeded_images(seed: int, n: int, height: int, width: int) -> Tensor:
    """Random images [n,3,height,width] in [-1,1] with blocks of 8 pixels and some noise; sides divisible by 8."""
    rng = np.random.Generator(np.random.PCG64(seed))
    blocks = rng.standard_normal((n, 3, height // 8, width // 8), dtype=np.float32)
    noise = rng.standard_normal((n, 3, height, width), dtype=np.float32)
    image = 0.5 * blocks.repeat(8, axis=2).repeat(8, axis=3) + np.float32(0.15) * noise
    return torch.from_numpy(image.clip(-1, 1))


def seeded_trunk(net: str) -> dict[str, Tensor]:
    """Weights under torchvision's names, drawn with He's scale."""
    rng = np.random.Generator(np.random.PCG64(7))
    state = {}
    for layer, (after, before, side) in TORCHVISION_LAYERS[net].items():
        scale = np.float32(math.sqrt(2 / (before * side * side)))
        weight = rng.standard_normal((after, before, side, side), dtype=np.float32) * scale
        state[f"features.{layer}.weight"] = torch.from_numpy(weight)
        state[f"features.{layer}.bias"] = torch.from_numpy(rng.standard_normal(after, dtype=np.float32) * 0.1)
    return state


def seeded_heads(net: str) -> dict[str, Tensor]:
    """Non-negative channel weights under the names of the lpips package."""
    rng = np.random.Generator(np.random.PCG64(8))
    return {
        f"lin{i}.model.1.weight": torch.from_numpy(rng.random((1, width, 1, 1), dtype=np.float32))
        for i, width in enumerate(HEADS[net])
    }
