"""PTI (pivotal tuning): no encoder. Optimise one w for the photo, then tune the generator around it.

Slow and close at the photo, weaker beside it: the baseline that encoders are compared with. `tune_generator` is its
second half by itself, for the ws of any system.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..camera import Camera
from ..device import random_generator
from ..eg3d.generator import Generator
from ..errors import InputError, MissingDependencyError
from ..metrics.perceptual import LPIPS, STLPIPS, PerceptualDistance
from ..threads import as_many_threads_as_pay
from ..types import Inversion, Render
from .checks import check_head, check_steps
from .inversion import InversionStep, resize_photo

FROZEN = "backbone.mapping."  # ws are given: the mapping has no part in them
SHOWN_SIDE = 256  # of the images that steps keep
MEAN_SAMPLES = 10_000
_BATCH = 2500


@dataclass(frozen=True)
class PTIConfig:
    """The published settings; steps are those of the optimisers."""

    w_steps: int = 450
    """Steps for w."""
    w_lr: float = 0.01
    """Highest learning rate of w; it ramps up over the first 5 % of its steps and down over the last 25 %."""
    w_noise: float = 0.05
    """Noise on w at the start, in standard deviations of mapped w; gone after three quarters of its steps."""
    tune_steps: int = 350
    """At most so many steps for the generator's weights."""
    tune_lr: float = 3e-4
    """Learning rate of the weights."""
    l2_weight: float = 1.0
    """Mean squared error to the photo, images in [-1,1]."""
    perceptual_weight: float = 1.0
    """LPIPS (AlexNet) where its files are there, else ST-LPIPS."""
    stop_at: float = 0.06
    """Tuning ends when the perceptual distance is as small as this."""
    shown_every: int = 50
    """A step is shown (yielded, kept) after so many of the optimisers'."""
    seed: int = 0
    """Of the noise."""

    def __post_init__(self) -> None:
        if self.w_steps < 1 or self.tune_steps < 0 or self.shown_every < 1:
            raise InputError(
                f"PTI needs w_steps >= 1, tune_steps >= 0 and shown_every >= 1; got {self.w_steps}, "
                f"{self.tune_steps} and {self.shown_every}."
            )

    def scaled(self, steps: int | None) -> PTIConfig:
        """The same with so many steps in all, divided between w and weights as they are."""
        if steps is None:
            return self
        check_steps("pti", steps)
        for_w = max(1, round(steps * self.w_steps / (self.w_steps + self.tune_steps)))
        return dataclasses.replace(self, w_steps=for_w, tune_steps=steps - for_w)

    @property
    def shown(self) -> int:
        """How many steps are shown, if tuning does not end early."""
        return math.ceil(self.w_steps / self.shown_every) + math.ceil(self.tune_steps / self.shown_every)


class PivotalTuning:
    """PTI as one of the systems (see `inversion.InversionMethod`): one photo at a time."""

    method = "pti"

    def __init__(self, generator: Generator, config: PTIConfig | None = None) -> None:
        """For inversions into this generator."""
        self.config = config or PTIConfig()
        self.num_ws, self.w_dim = generator.config.num_ws, generator.config.w_dim
        self.generator_fingerprint = generator.fingerprint

    def step_count(self, n_iters: int | None) -> int:
        """How many steps are shown for so many steps of the optimisers in all (default: the configuration's)."""
        return self.config.scaled(n_iters).shown

    @torch.enable_grad()
    def steps(
        self,
        generator: Generator,
        image: Float[Tensor, "n 3 r r"],
        camera: Camera,
        n_iters: int | None = None,
        *,
        differentiable: bool = False,
    ) -> Iterator[InversionStep]:
        """The state after every `shown_every` steps of the optimisers; what it yields has no gradient.

        Raises:
            InputError: more than one photo.
            MissingDependencyError: neither LPIPS nor ST-LPIPS is there, and the loss needs one.
        """
        if len(image) != 1:
            raise InputError(f"PTI tunes the generator for one photo at a time; got {len(image)}.")
        config = self.config.scaled(n_iters)
        target = _Target(generator, image, config)
        camera = camera.to(generator.device)
        start, spread = mapped_mean(generator)
        ws = start
        for ws, render in _optimise_w(generator, start, spread, target, camera, config):
            yield target.step(ws, render)
        for render, delta in _tune_around(generator, _Start(ws, None, {}), target, camera, config):
            yield dataclasses.replace(target.step(ws, render), generator_delta=delta)


class _Target:
    """The photo at the generator's side, with what the perceptual measure makes of it, once."""

    def __init__(self, generator: Generator, image: Tensor, config: PTIConfig) -> None:
        self.config = config
        self.precision = generator.precision
        self.photo = resize_photo(image.detach().to(generator.device), generator.config.img_resolution)
        self.facts: dict[str, Any] = {"pti": {"w_steps": config.w_steps, "tune_steps": config.tune_steps}}
        self.perceptual: PerceptualDistance | None = None
        if config.perceptual_weight > 0:
            self.perceptual, name = perceptual_network()
            self.perceptual.to(generator.device)
            self.facts["pti"]["perceptual"] = name
            with torch.no_grad():
                self.features = self.perceptual.features(self.photo, self.precision)

    def losses(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted sum, and the perceptual distance alone (0 where it is not measured)."""
        total = self.config.l2_weight * (image - self.photo).square().mean()
        if self.perceptual is None:
            return total, total.new_zeros([])
        distance = self.perceptual.distance(self.perceptual.features(image, self.precision), self.features).mean()
        return total + self.config.perceptual_weight * distance, distance

    def step(self, ws: Tensor, render: Render) -> InversionStep:
        """What is shown of a state."""
        image = resize_photo(render.image, min(SHOWN_SIDE, render.image.shape[-1]))
        return InversionStep(ws, render, image, facts=self.facts)


def perceptual_network() -> tuple[PerceptualDistance, str]:
    """LPIPS (AlexNet) if its files are there, else ST-LPIPS; and which it is.

    Raises:
        MissingDependencyError: neither is there.
    """
    try:
        return LPIPS("alex"), "LPIPS (AlexNet)"
    except MissingDependencyError:
        return STLPIPS("alex"), "ST-LPIPS (AlexNet)"


@torch.no_grad()
def mapped_mean(generator: Generator, n: int = MEAN_SAMPLES) -> tuple[Float[Tensor, "1 l w"], float]:
    """Mean of mapped w over n random z (frontal camera), and their standard deviation as one number."""
    random = random_generator(0)
    camera = generator.frontal_camera
    parts = []
    for first in range(0, n, _BATCH):
        z = torch.randn(min(_BATCH, n - first), generator.config.z_dim, generator=random).to(generator.device)
        parts.append(generator.mapping(z, camera)[:, :1])
    w = torch.cat(parts)
    mean = w.mean(0, keepdim=True)
    spread = (w - mean).square().sum(2).mean().div(w.shape[2]).sqrt().item()
    return mean.expand(-1, generator.config.num_ws, -1), spread


def _optimise_w(
    generator: Generator, start: Tensor, spread: float, target: _Target, camera: Camera, config: PTIConfig
) -> Iterator[tuple[Tensor, Render]]:
    """ws (one w, repeated) and its render, every `shown_every` steps."""
    w = start[:, :1].clone().requires_grad_(True)
    optimizer = torch.optim.Adam([w], lr=config.w_lr)
    random = random_generator(config.seed)
    for step in range(1, config.w_steps + 1):
        progress = (step - 1) / config.w_steps
        optimizer.param_groups[0]["lr"] = config.w_lr * _ramp(progress)
        noise_size = spread * config.w_noise * max(0.0, 1 - progress / 0.75) ** 2
        noise = noise_size * torch.randn(w.shape, generator=random).to(w)
        ws = (w + noise).expand(-1, generator.config.num_ws, -1)
        with as_many_threads_as_pay():
            loss, _ = target.losses(generator.synthesis(ws, camera).image)
            optimizer.zero_grad()
            loss.backward(inputs=[w])
            optimizer.step()
        if step % config.shown_every == 0 or step == config.w_steps:
            with torch.no_grad():
                ws = w.detach().clone().expand(-1, generator.config.num_ws, -1).contiguous()
                render = generator.synthesis(ws, camera)
            yield ws, render


def _ramp(progress: float) -> float:
    """Share of the learning rate: up over the first 5 % (linear), down over the last 25 % (cosine)."""
    down = min(1.0, (1 - progress) / 0.25)
    return (0.5 - 0.5 * math.cos(math.pi * down)) * min(1.0, max(progress, 1e-3) / 0.05)


@as_many_threads_as_pay()
def tune_generator(
    generator: Generator,
    inversion: Inversion,
    image: Float[Tensor, "n 3 r r"],
    config: PTIConfig | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Inversion:
    """PTI's second half after any system: tunes the generator's weights around the ws that it found.

    Earlier tuning and a plane offset of the inversion stay part of the head. `refine` does more (ws, camera, planes,
    guards against harm at other views); this is the published baseline.

    Args:
        generator: the one that `inversion` was made with; it is not changed.
        inversion: of one photo.
        image: that photo in [-1,1].
        config: default `PTIConfig()`; its part for w is not used.
        on_step: called with (steps done, steps in all) at every shown step.

    Raises:
        InputError: not exactly one photo.
        WeightsError: the inversion belongs to another generator.
    """
    config = config or PTIConfig()
    check_head("tuning", generator, inversion, len(image))
    target = _Target(generator, image, config)
    start = _Start(
        inversion.latent.ws.detach().to(generator.device),
        None if inversion.plane_offset is None else inversion.plane_offset.to(generator.device, torch.float32),
        inversion.generator_delta or {},
    )
    done = 0
    for render, delta in _tune_around(generator, start, target, inversion.camera.to(generator.device), config):
        done = min(done + config.shown_every, config.tune_steps)
        inversion = dataclasses.replace(inversion, render=render, generator_delta=delta)
        if on_step is not None:
            on_step(done, config.tune_steps)
    if on_step is not None and done < config.tune_steps:  # it was good enough sooner
        on_step(config.tune_steps, config.tune_steps)
    facts = {"method": "pti", "steps": done, "perceptual": target.facts["pti"].get("perceptual")}
    return dataclasses.replace(inversion, info={**inversion.info, "tune": facts})


@dataclass(frozen=True)
class _Start:
    """What stays fixed while weights are tuned, and the tuning so far."""

    ws: Tensor
    plane_offset: Tensor | None
    delta: dict[str, Tensor]


@torch.enable_grad()
def _tune_around(
    generator: Generator, start: _Start, target: _Target, camera: Camera, config: PTIConfig
) -> Iterator[tuple[Render, dict[str, Tensor]]]:
    """Tunes a copy of the generator so that fixed ws show the photo; render and change of the weights along the way."""
    tuned = generator.with_delta(start.delta).requires_grad_(False)
    weights = {n: p.requires_grad_(True) for n, p in tuned.named_parameters() if not n.startswith(FROZEN)}
    original = dict(generator.named_parameters())
    optimizer = torch.optim.Adam(list(weights.values()), lr=config.tune_lr)

    def view() -> Render:
        planes = tuned.planes(start.ws)
        if start.plane_offset is not None:
            planes = dataclasses.replace(planes, features=planes.features + start.plane_offset)
        return tuned.render(planes, start.ws, camera)

    for step in range(1, config.tune_steps + 1):
        with as_many_threads_as_pay():
            loss, distance = target.losses(view().image)
            good_enough = target.perceptual is not None and distance.item() <= config.stop_at
            if not good_enough:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        if good_enough or step % config.shown_every == 0 or step == config.tune_steps:
            with torch.no_grad():
                render = view()
                delta = {name: parameter - original[name] for name, parameter in weights.items()}
            yield render, delta
        if good_enough:
            return
