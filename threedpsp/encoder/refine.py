"""Refining: after the encoder, optimise ws, the camera, the planes and the generator's weights, for one photo.

The best state by the objective at the photo (pixels, perception, identity, distance to the encoder's ws) is kept, so
the result is never worse than its input. Views that no photo shows are only guarded: by the mirrored photo, by
identity, and by keeping the geometry.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..camera import Camera
from ..device import random_generator
from ..eg3d.generator import Generator
from ..errors import InputError
from ..threads import as_many_threads_as_pay
from ..types import FaceCrop, Inversion, TriPlanes, WPlus
from .camera_offset import CameraOffset, angle_between_degrees
from .checks import check_head
from .refine_budget import Budget
from .refine_config import RefineConfig
from .refine_terms import NovelViews, PhotoTarget, raw_view

__all__ = ["RefineConfig", "RefineProgress", "refine"]

FROZEN = "backbone.mapping."
MIRROR_EVERY = 4  # of the guards' turns; the others are novel views
RAMP = 5  # updates from the first of a group that begins later to its full rate

_clock = time.perf_counter


@dataclass(frozen=True)
class RefineProgress:
    """Where refining stands.

    step: updates done. fraction: of the budget, 0..1.
    losses: the objective's weighted terms by name. objective: their sum. image: the current picture [1,3,R,R].
    """

    step: int
    fraction: float
    losses: dict[str, float]
    objective: float
    image: Tensor


ProgressCallback = Callable[[RefineProgress], bool | None]


@as_many_threads_as_pay()
def refine(
    generator: Generator,
    inversion: Inversion,
    crop: FaceCrop,
    config: RefineConfig | None = None,
    on_progress: ProgressCallback | None = None,
) -> Inversion:
    """Brings one inversion closer to its photo.

    Args:
        generator: the one that `inversion` was made with; it is not changed.
        inversion: of one photo.
        crop: that photo, with landmarks and mirror_sigma if there are any.
        config: budget, freedom, weights; default `RefineConfig()`.
        on_progress: called before each update; returning False ends refining with the best so far.

    Returns:
        A new Inversion: ws, camera, render, `generator_delta` and `plane_offset` (float16; earlier tuning included),
        the same `steps`, and `info["refine"]` with steps, seconds, the objective before and after, and notes.

    Raises:
        InputError: not exactly one photo.
        WeightsError: the inversion belongs to another generator.
    """
    started = _clock()
    check_head("refine", generator, inversion, len(crop.image))
    if len(inversion.camera) != 1 or len(crop.camera) != 1:
        raise InputError(f"refine takes one camera each; got {len(inversion.camera)} and {len(crop.camera)}.")
    return _Refiner(generator, inversion, crop, config or RefineConfig(), started).run(on_progress)


def updates_made(inversion: Inversion) -> int:
    """How many updates a head has had: refining goes on from there, with the smaller steps that come then."""
    refined, likeness = (inversion.info.get(name) or {} for name in ("refine", "likeness"))
    if refined:
        return int(refined.get("steps_before", 0)) + int(refined.get("steps", 0))
    return int(likeness.get("updates", 0))


def blurred(planes: Tensor, times: int) -> Tensor:
    """Planes [N,3,H,W,C] averaged over 3 x 3 cells, several times; edges count as going on."""
    maps = planes.flatten(0, 1).movedim(-1, 1)
    for _ in range(times):
        maps = F.avg_pool2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return maps.movedim(1, -1).reshape(planes.shape)


@torch.no_grad()
def mapped_spread(generator: Generator, n: int = 64) -> float:
    """Standard deviation of a number in w over random z: the unit in which steps and distances in W+ are measured."""
    z = torch.randn(n, generator.config.z_dim, generator=random_generator(0)).to(generator.device)
    w = generator.mapping(z, generator.frontal_camera)[:, 0]
    return max(w.std(0).mean().item(), 0.05)


class _Refiner:
    """The state of refining one photo."""

    def __init__(
        self, generator: Generator, inversion: Inversion, crop: FaceCrop, config: RefineConfig, started: float
    ) -> None:
        self.original, self.inversion, self.config = generator, inversion, config
        self.device = generator.device
        self.budget = Budget(config, started)
        self.started = started
        self.generator = generator.with_delta(inversion.generator_delta or {}).requires_grad_(False)
        self.tuned = {n: p for n, p in self.generator.named_parameters() if not n.startswith(FROZEN)}
        self.ws_start = inversion.latent.ws.detach().to(self.device, torch.float32)
        self.ws_scale = mapped_spread(generator)
        self.ws_step = torch.zeros_like(self.ws_start, requires_grad=True)  # in units of ws_scale
        start_camera = inversion.camera.to(self.device, torch.float32)
        self.camera = CameraOffset(start_camera, config.camera_degrees, config.camera_shift).to(self.device)
        self.target = PhotoTarget(crop, generator.config.img_resolution, self.device, config, generator.precision)
        guard_side = min(config.guard_resolution, generator.config.neural_rendering_resolution)
        self.guard_target = PhotoTarget(crop, guard_side, self.device, config, generator.precision)
        self.plane_start, self.plane_scale = self._start_offset(), 1.0
        self.plane_step = torch.zeros_like(self.plane_start, requires_grad=config.tune_planes)  # times plane_scale
        self.done, self.tuning = updates_made(inversion), False
        self.optimizer = torch.optim.Adam(self._groups(), betas=(0.9, 0.99))

    def _groups(self) -> list[dict[str, Any]]:
        """What is optimised, each with its learning rate at first."""
        config = self.config
        groups: list[dict[str, Any]] = [{"params": [self.ws_step], "base": config.ws_lr}]
        if config.camera_degrees or config.camera_shift:
            groups += [
                {"params": [self.camera.turn], "base": config.camera_lr},
                {"params": [self.camera.shift], "base": config.camera_lr * 0.005},  # a pixel of 128 is .005
            ]
        if config.tune_planes:
            groups.append({"params": [self.plane_step], "base": config.plane_lr})
        return groups

    @property
    def ws(self) -> Tensor:
        return self.ws_start + self.ws_scale * self.ws_step

    def _start_offset(self) -> Tensor:
        """What earlier refining added to the planes, or zeros."""
        if self.inversion.plane_offset is not None:
            return self.inversion.plane_offset.to(self.device, torch.float32)
        sizes = self.original.config
        return torch.zeros(1, 3, *[sizes.plane_resolution] * 2, sizes.plane_channels, device=self.device)

    @property
    def plane_offset(self) -> Tensor:
        return self.plane_start + self.plane_scale * blurred(self.plane_step, self.config.plane_blur)

    def run(self, on_progress: ProgressCallback | None) -> Inversion:
        novel = self._novel_views()
        step, best = 0, math.inf
        kept = self._snapshot()
        while True:
            with as_many_threads_as_pay():
                if self.config.tune_generator and not self.tuning and self.done + step >= self.config.tune_after:
                    self._start_tuning()
                ws, camera = self.ws, self.camera()
                planes = _planes(self.generator, ws, self.plane_offset)
                image = self.generator.render(planes, ws, camera).image
                losses = self._photo_losses(image)
                numbers = _numbers(losses)
                objective = sum(numbers.values())
                if objective < best:
                    best, kept = objective, self._snapshot()
                if on_progress is not None:
                    fraction = self.budget.fraction(step, _clock())
                    state = RefineProgress(step, fraction, numbers, objective, image.detach())
                    if on_progress(state) is False:
                        break
                if self.budget.spent(step, _clock()) or not math.isfinite(objective):
                    break
                losses |= self._guards(novel, planes, camera, step)
                self._update(losses, step)
                step += 1
        self._restore(kept)
        return self._result(step)

    def _novel_views(self) -> NovelViews | None:
        """Made from the head as it came."""
        config = self.config
        with torch.no_grad():
            camera = self.camera()
            planes = _planes(self.generator, self.ws_start, self.plane_start)
            self.plane_scale = max(planes.features.std().item(), 1e-3)
            self.start_render = self.generator.render(planes, self.ws_start, camera)
            self.start_losses = _numbers(self._photo_losses(self.start_render.image))
        if not config.novel_yaw_degrees or not (config.novel_weight or config.geometry_weight):
            return None
        return NovelViews(self.generator, planes, self.ws_start, camera, self.start_render, self.guard_target)

    def _photo_losses(self, image: Tensor) -> dict[str, Tensor]:
        """What decides which state is best."""
        losses = self.target.terms(image)
        losses["distance"] = self.config.distance_weight * self.ws_step.square().mean()
        return losses

    def _guards(self, novel: NovelViews | None, planes: TriPlanes, camera: Camera, step: int) -> dict[str, Tensor]:
        """At every other step: the mirrored photo, then three novel views, in turn."""
        if step % 2:
            return {}
        turn, mirror = step // 2, self.config.mirror_weight > 0
        if mirror and (novel is None or turn % MIRROR_EVERY == 0):
            seen = raw_view(self.generator, planes, camera.mirrored(), self.guard_target.side)
            return {"mirror": self.guard_target.mirror_loss(seen.image)}
        if novel is not None:
            return novel.losses(self.generator, planes, turn - turn // MIRROR_EVERY - 1 if mirror else turn)
        return {}

    def _start_tuning(self) -> None:
        """From now on the generator's weights move too."""
        self.tuning = True
        weights = [parameter.requires_grad_(True) for parameter in self.tuned.values()]
        after = self.config.tune_after
        self.optimizer.add_param_group({"params": weights, "base": self.config.tune_lr, "after": after})

    def _update(self, losses: dict[str, Tensor], step: int) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        sum(losses.values(), self.ws_start.new_zeros([])).backward()
        if self.plane_step.grad is not None:  # each update counts alike, though the first gradients are far larger
            self.plane_step.grad /= self.plane_step.grad.square().mean().sqrt().clamp_min(1e-20)
        made = self.done + step
        for group in self.optimizer.param_groups:
            ramp = min(1.0, (made - group.get("after", -RAMP) + 1) / RAMP)
            group["lr"] = group["base"] * ramp / (1 + made / self.config.decay)
        self.optimizer.step()

    def _state(self) -> list[Tensor]:
        """Everything that steps change."""
        return [self.ws_step, self.camera.turn, self.camera.shift, self.plane_step, *self.tuned.values()]

    def _snapshot(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self._state()]

    @torch.no_grad()
    def _restore(self, kept: list[Tensor]) -> None:
        for tensor, value in zip(self._state(), kept, strict=True):
            tensor.copy_(value)

    @torch.no_grad()
    def _result(self, step: int) -> Inversion:
        delta, offset = self._delta(), self._offset()
        generator = self.original.with_delta(delta or {})  # as it will be after saving: rounded to float16
        ws, camera = self.ws.detach(), self.camera()
        render = generator.render(_planes(generator, ws, offset), ws, camera)
        losses = _numbers(self._photo_losses(render.image))
        if step == 0 or not sum(losses.values()) <= sum(self.start_losses.values()):
            ws, camera, render, losses = self.ws_start, self.camera.camera, self.start_render, self.start_losses
            delta, offset = self.inversion.generator_delta, self.inversion.plane_offset
        info = {
            "steps": step,
            "steps_before": self.done,
            "seconds": round(_clock() - self.started, 2),
            "precision": self.original.precision.name,
            "before": {name: round(value, 5) for name, value in self.start_losses.items()},
            "after": {name: round(value, 5) for name, value in losses.items()},
            "camera_turned_degrees": round(angle_between_degrees(self.camera.camera, camera).item(), 3),
            "generator_tuned": delta is not None,
            "planes_tuned": offset is not None,
            "notes": [*self.target.notes, *self.budget.notes(step, self.done)],
        }
        return dataclasses.replace(
            self.inversion,
            latent=WPlus(ws, self.inversion.latent.generator),
            camera=camera,
            render=render,
            generator_delta=delta,
            plane_offset=offset,
            info={**self.inversion.info, "refine": info},
        )

    def _delta(self) -> dict[str, Tensor] | None:
        """What tuning changed in the weights in all, against the original generator; None: nothing."""
        original = dict(self.original.named_parameters())
        delta = {name: (parameter - original[name]).half() for name, parameter in self.tuned.items()}
        return delta if any(change.any() for change in delta.values()) else None

    def _offset(self) -> Tensor | None:
        """What tuning added to the planes in all."""
        if not self.config.tune_planes and self.inversion.plane_offset is None:
            return None
        return self.plane_offset.detach().half()


def _planes(generator: Generator, ws: Tensor, offset: Tensor | None) -> TriPlanes:
    """The latent's planes, with what tuning added."""
    planes = generator.planes(ws)
    return planes if offset is None else dataclasses.replace(planes, features=planes.features + offset.float())


def _numbers(losses: dict[str, Tensor]) -> dict[str, float]:
    return {name: loss.item() for name, loss in losses.items()}
