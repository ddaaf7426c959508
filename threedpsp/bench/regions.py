"""The regions of training and refining, put around the functions that do their work."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from .. import kernels
from ..eg3d.backbone import Synthesis
from ..eg3d.superresolution import Superresolution
from ..encoder.encoder import Encoder
from ..metrics.identity import DlibIdentity
from ..metrics.perceptual import PerceptualDistance
from ..training.encoders.ema import Average
from ..training.encoders.trainer import Trainer
from ..training.joint_model import JointModel
from .self_time import BACKWARD, FORWARD, SelfTime

RAYS = "rays"
KERNEL = ", compiled"
UPDATE = "optimizer, clipping, mean weights"
DATA = "data"

DIFFERENTIABLE: tuple[tuple[Any, str, str], ...] = (
    (Encoder, "forward", "encoder"),
    (Synthesis, "forward", "backbone"),
    (kernels, "render_rays", RAYS),
    (kernels, "query_points", "points"),
    (Superresolution, "blocks", "super-resolution"),
    (PerceptualDistance, "features", "perceptual"),
    (PerceptualDistance, "distance", "perceptual"),
    (DlibIdentity, "embed", "identity"),
)
"""Owner, function, region."""
OTHERS: tuple[tuple[Any, str, str], ...] = (
    (torch.nn.utils, "clip_grad_norm_", UPDATE),
    (torch.optim.Optimizer, "zero_grad", UPDATE),
    (torch, "_foreach_lerp_", UPDATE),
    (Average, "update", UPDATE),
    (JointModel, "own_half", DATA),
    (JointModel, "encoder_half", DATA),
    (Trainer, "_next", DATA),
)
"""The same without gradients; all inside them counts as theirs."""


@contextlib.contextmanager
def watched(clock: SelfTime) -> Iterator[None]:
    """While this lasts, the clock knows all regions."""
    with contextlib.ExitStack() as undo:
        for owner, name, region in DIFFERENTIABLE:
            timed = _inside(clock, vars(owner)[name], region, differentiable=True)
            undo.enter_context(patch.object(owner, name, timed))
        for owner, name, region in OTHERS:
            undo.enter_context(patch.object(owner, name, _inside(clock, vars(owner)[name], region, whole=True)))
        _watch_compiled(undo, clock)
        undo.enter_context(
            patch.object(torch.autograd, "backward", functools.partial(clock.backward, torch.autograd.backward))
        )
        before = register_optimizer_step_pre_hook(lambda *_: clock.push(UPDATE, whole=True))
        after = register_optimizer_step_post_hook(lambda *_: clock.pop())
        undo.callback(before.remove)
        undo.callback(after.remove)
        yield


def _inside(clock: SelfTime, function: Any, region: str, **how: bool) -> Any:
    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with clock.region(region, **how):
            return function(*args, **kwargs)

    return inside


def _watch_compiled(undo: contextlib.ExitStack, clock: SelfTime) -> None:
    """The compiled function of the rays by itself, so that what is around it shows."""
    package = kernels.render_rays.__module__.rpartition(".")[0]
    module = sys.modules[f"{package}.cpu.render_rays"]
    compiled = module.call

    def call(*args: Any) -> None:
        with clock.region(clock.top + KERNEL):
            compiled(*args)

    undo.enter_context(patch.object(module, "call", call))


def row_names() -> list[str]:
    """All rows a profile may have, in the order of a table."""
    names = [DATA]
    for region in dict.fromkeys(region for _, _, region in DIFFERENTIABLE):
        for direction in (FORWARD, BACKWARD):
            name = f"{region} {direction}"
            names += [name + KERNEL, name] if region == RAYS else [name]
    return [*names, UPDATE]
