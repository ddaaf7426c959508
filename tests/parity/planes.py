"""TriPlaneNet's branches: what v1 adds to the planes, the planes that v2 returns."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import torch

from eg3d_kernels import Implementation
from threedpsp.encoder.encoder import fill_network
from threedpsp.encoder.triplane_branch import TriplaneBranch
from threedpsp.encoder.triplanenet import TriPlaneNetConfig

from .case import Case
from .measure import Measured, compare, seen_as

OFFSETS = 1e-5  # float32 sums in another order; the worst seen is 1.3e-6
INPUTS = ("x", "x_fp16", "planes_in", "planes_in_fp16")


def run(case: Case, implementation: Implementation) -> list[Measured]:
    """The change of the planes: v2's planes_out holds the planes that went in, which would hide it, so they go off."""
    weights = case.weights()
    config = TriPlaneNetConfig.of_state({f"triplanenet_encoder.{name}": value for name, value in weights.items()})
    with torch.device("meta"):
        branch = TriplaneBranch(config.branch)
    branch.to_empty(device="cpu")
    fill_network(branch.eval(), weights, "branch")
    del weights
    x = case.tensor(case.one_named(r"x(_fp16)?")).float()
    planes = planes_in(case, len(x), config) if config.is_v2 else None
    with torch.no_grad():
        change = branch(x, planes)
    if planes is None:
        return compare(case, {"offsets": change}, OFFSETS)
    tensors = dict(case.tensors)
    for name in case.tensors:
        if re.match("planes_out", name):
            _, part = seen_as(name, {"planes_out": planes}, tensors[name])
            tensors[name] = tensors[name] - part if part is not None else tensors[name]
    return compare(dataclasses.replace(case, tensors=tensors), {"planes_out": change}, OFFSETS)


def planes_in(case: Case, n: int, config: TriPlaneNetConfig) -> torch.Tensor:
    """What v2 read: recorded, or drawn again from its seed and rounded to float16."""
    for name in ("planes_in", "planes_in_fp16"):
        if name in case.tensors:
            return case.tensors[name].float()
    shape = (n, config.branch.plane_channels, config.branch.resolution, config.branch.resolution)
    draw = np.random.Generator(np.random.PCG64(case.integer("planes_in_pcg64_seed", 234)))
    return torch.from_numpy(draw.standard_normal(shape, dtype=np.float32)).half().float()
