"""Photo -> ws: one interface for every system, and the ReStyle loop of those that are an encoder alone.

The loop starts from `latent_avg` and its frontal render; each step the encoder sees the photo beside the current
estimate and answers with a step in W+. Encoders that see the photo alone (pSp, e4e) make one step.
Source: 3DpSp's published loop, checked against its recorded values.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..camera import Camera
from ..device import random_generator
from ..eg3d.generator import Generator
from ..errors import InputError, WeightsError
from ..threads import as_many_threads_as_pay
from ..types import Inversion, Render, WPlus
from .checks import check_steps
from .encoder import Encoder

N_ITERS = 5
LATENT_AVG_SAMPLES = 100_000
_BATCH = 4096

StepCallback = Callable[[int, int], None]
ImageCallback = Callable[[Tensor], None]


@dataclass(frozen=True)
class InversionStep:
    """What there is after a step.

    ws: the latents [N,L,w_dim]; render: what they show; image: [N,3,r,r], the same at the side that the encoder takes.
    plane_offset: [N,3,H,W,C], what is added to the planes, or None.
    generator_delta: the change of the generator's weights by their names, or None.
    facts: what can be written as JSON, for the `info` of the inversion.
    """

    ws: Tensor
    render: Render
    image: Tensor
    plane_offset: Tensor | None = None
    generator_delta: dict[str, Tensor] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class InversionMethod(Protocol):
    """A system that is more than an encoder: TriPlaneNet, pivotal tuning."""

    @property
    def method(self) -> str:
        """Its name."""

    @property
    def num_ws(self) -> int:
        """Rows of the ws it makes."""

    @property
    def w_dim(self) -> int:
        """Numbers in a row."""

    @property
    def generator_fingerprint(self) -> str:
        """The generator that it belongs to; empty = unknown."""

    def step_count(self, n_iters: int | None) -> int:
        """How many steps it will yield; raises InputError for a number that it cannot make."""

    def steps(
        self,
        generator: Generator,
        image: Float[Tensor, "n 3 r r"],
        camera: Camera,
        n_iters: int | None = None,
        *,
        differentiable: bool = False,
    ) -> Iterator[InversionStep]:
        """The steps; see `invert_steps`, which has checked the arguments."""


InversionNetwork = Encoder | InversionMethod
"""Whatever turns photos into heads."""


def check_belongs(encoder: InversionNetwork, generator: Generator) -> None:
    """Refuse an encoder that was made for another generator.

    Raises:
        WeightsError: their ws differ in shape, or the fingerprints do.
    """
    other = generator.config
    if (encoder.num_ws, encoder.w_dim) != (other.num_ws, other.w_dim):
        raise WeightsError(
            f"The encoder makes ws of {encoder.num_ws} x {encoder.w_dim}, the generator takes "
            f"{other.num_ws} x {other.w_dim}. Load the encoder that belongs to this generator."
        )
    if encoder.generator_fingerprint and encoder.generator_fingerprint != generator.fingerprint:
        raise WeightsError(
            f"The encoder was trained for generator {encoder.generator_fingerprint}, not for {generator.fingerprint}. "
            "Load the encoder that belongs to this generator."
        )


@torch.no_grad()
def compute_latent_avg(generator: Generator, n: int = LATENT_AVG_SAMPLES, seed: int = 0) -> Float[Tensor, "1 l w"]:
    """Mean of `mapping(z, frontal camera)` over n random z: where the loop starts. Depends on the seed alone."""
    if n < 1:
        raise InputError(f"The mean latent needs at least one sample; got {n}.")
    random = random_generator(seed)
    total = torch.zeros(1, generator.config.num_ws, generator.config.w_dim, dtype=torch.float64)
    for start in range(0, n, _BATCH):
        z = torch.randn(min(_BATCH, n - start), generator.config.z_dim, generator=random)
        camera = generator.frontal_camera
        total += generator.mapping(z.to(generator.device), camera).double().sum(0, keepdim=True).cpu()
    return (total / n).float().to(generator.device)


@torch.no_grad()
def compute_avg_image(generator: Generator, latent_avg: Float[Tensor, "1 l w"], side: int) -> Float[Tensor, "1 3 r r"]:
    """The mean latent seen by the frontal camera, resized (bilinear) to the encoder's side; the first estimate."""
    image = generator.synthesis(latent_avg, generator.frontal_camera).image
    return image if image.shape[-1] == side else F.interpolate(image, size=(side, side), mode="bilinear")


def resize_photo(image: Float[Tensor, "n c s s"], side: int) -> Float[Tensor, "n c r r"]:
    """Photos (or other square maps) at another side: area pooling when shrinking, bilinear when growing."""
    if image.shape[-1] == side:
        return image
    if image.shape[-1] > side:
        return F.adaptive_avg_pool2d(image, side)
    return F.interpolate(image, size=(side, side), mode="bilinear", align_corners=False)


def step_count(encoder: InversionNetwork, n_iters: int | None) -> int:
    """The steps asked for, or the default: 5 for an encoder that sees the estimate, 1 for others."""
    if not isinstance(encoder, Encoder):
        return encoder.step_count(n_iters)
    sees_estimate = encoder.config.input_channels == 6
    steps = n_iters if n_iters is not None else (N_ITERS if sees_estimate else 1)
    return check_steps(encoder.method, steps, None if sees_estimate else 1)


def invert_steps(
    encoder: InversionNetwork,
    generator: Generator,
    image: Float[Tensor, "n 3 h w"],
    camera: Camera,
    n_iters: int | None = None,
    *,
    avg_image: Float[Tensor, "1 3 r r"] | None = None,
    differentiable: bool = False,
) -> Iterator[InversionStep]:
    """Any system, a step at a time.

    Args:
        encoder: an encoder (3DpSp's, pSp's, e4e's), or another system; in eval mode, unless it is being trained.
        generator: the one that `encoder` belongs to.
        image: photos [N,3,R,R] in [-1,1], any side.
        camera: N cameras, or one for all.
        n_iters: steps; default: the system's own (`step_count`).
        avg_image: the first estimate at the encoder's side (`compute_avg_image`); made here if not given.
        differentiable: keep gradients inside each step (training); between steps they are always cut.

    Raises:
        InputError: the arguments do not fit together.
        WeightsError: the encoder belongs to another generator.
    """
    check_belongs(encoder, generator)
    steps = step_count(encoder, n_iters)
    if image.ndim != 4 or image.shape[1] != 3 or image.shape[2] != image.shape[3]:
        raise InputError(f"Photos must be [N,3,R,R]; got {list(image.shape)}.")
    if len(camera) not in (1, len(image)):
        raise InputError(f"{len(image)} photos need as many cameras, or one; got {len(camera)}.")
    if not isinstance(encoder, Encoder):
        return encoder.steps(generator, image, camera, n_iters, differentiable=differentiable)
    return _steps(encoder, generator, image, camera, steps, avg_image, differentiable)


def _steps(
    encoder: Encoder,
    generator: Generator,
    image: Tensor,
    camera: Camera,
    steps: int,
    avg_image: Tensor | None,
    differentiable: bool,
) -> Iterator[InversionStep]:
    n, side = len(image), encoder.config.input_resolution
    camera = camera.expand(n).to(image.device)
    photo = resize_photo(image, side)
    ws = encoder.latent_avg.expand(n, -1, -1)
    inputs = [photo]
    if encoder.config.input_channels == 6:
        avg_image = compute_avg_image(generator, encoder.latent_avg, side) if avg_image is None else avg_image
        inputs.append(avg_image.expand(n, -1, -1, -1))
    for _ in range(steps):
        with as_many_threads_as_pay(), torch.set_grad_enabled(differentiable):
            ws = encoder(torch.cat(inputs, 1), camera) + ws.detach()
            render = generator.synthesis(ws, camera)
            estimate = resize_photo(render.image, side)
        yield InversionStep(ws, render, estimate)
        inputs = [photo, estimate.detach()]


def invert(
    encoder: InversionNetwork,
    generator: Generator,
    image: Float[Tensor, "n 3 h w"],
    camera: Camera,
    n_iters: int | None = None,
    *,
    avg_image: Float[Tensor, "1 3 r r"] | None = None,
    on_step: StepCallback | None = None,
    on_image: ImageCallback | None = None,
) -> Inversion:
    """All steps of `invert_steps`; the last one's ws and render, and every step's ws and image.

    on_step: called with (steps done, steps in all) after each; an exception that it raises ends the loop.
    on_image: called before that with the picture so far, [N,3,R,R].
    """
    started = time.perf_counter()
    total = step_count(encoder, n_iters)
    kept: list[tuple[Tensor, Tensor]] = []
    last: InversionStep | None = None
    for last in invert_steps(encoder, generator, image, camera, n_iters, avg_image=avg_image):
        kept.append((last.ws, last.image))
        if on_image is not None:
            on_image(last.render.image)
        if on_step is not None:
            on_step(len(kept), total)
    if last is None:
        raise InputError(f"The system {encoder.method} made no step.")
    if on_step is not None and len(kept) < total:  # it was good enough sooner
        on_step(total, total)
    return Inversion(
        latent=WPlus(last.ws, generator.fingerprint),
        camera=camera.expand(len(image)),
        render=last.render,
        steps=tuple(kept),
        plane_offset=last.plane_offset,
        generator_delta=last.generator_delta,
        info={
            "method": encoder.method,
            "precision": generator.precision.name,
            "encoder_steps": len(kept),
            "encoder_seconds": round(time.perf_counter() - started, 3),
            **last.facts,
        },
    )
