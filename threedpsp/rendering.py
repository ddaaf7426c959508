"""A saved or new head from any camera: a generator is enough, no encoder is needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import UInt8
from numpy import ndarray

from .camera import Camera
from .eg3d.config import RenderConfig
from .eg3d.generator import Generator
from .encoder.checks import check_head
from .export.images import enlarge, to_uint8
from .frame_chunks import frame_bytes, frames_together, free_bytes, in_chunks
from .threads import as_many_threads_as_pay
from .types import Inversion, Render, TriPlanes

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how far it is, and how far it will go; an exception that it raises ends the work."""


@runtime_checkable
class HasGenerator(Protocol):
    """What has a generator: a `Pipeline`."""

    @property
    def generator(self) -> Generator:
        """The generator."""


def render(
    source: Generator | HasGenerator, inversion: Inversion, cameras: Camera, *, chunk: int = 0
) -> Iterator[Render]:
    """One Render per camera (batch of one, on the generator's device); the planes are made once.

    Args:
        source: a generator, or a pipeline, whose encoder has no part in this.
        inversion: of one photo; its tuned weights and plane offset are used.
        cameras: any number; nearer and farther ones move the sampled depths along.
        chunk: cameras rendered at a time; 0: on a CUDA device as many as its free memory holds, elsewhere 1.

    Raises:
        WeightsError: the inversion was made with another generator.
        InputError: it holds several photos.
    """
    generator = source if isinstance(source, Generator) else source.generator
    check_head("render", generator, inversion)
    return _renders(generator, inversion, cameras, max(0, chunk))


def frames(
    source: Generator | HasGenerator,
    inversion: Inversion,
    cameras: Camera,
    *,
    side: int = 0,
    chunk: int = 0,
    on_progress: Progress | None = None,
) -> Iterator[UInt8[ndarray, "h w 3"]]:
    """`render` as pictures, uint8 [H,W,3]; enlarged (bicubic) to `side` where the model's are smaller."""
    for index, view in enumerate(render(source, inversion, cameras, chunk=chunk), 1):
        yield to_uint8(enlarge(view.image, side))[0]
        if on_progress is not None:
            on_progress("render", index, len(cameras))


@as_many_threads_as_pay()
@torch.no_grad()
def head_planes(generator: Generator, inversion: Inversion) -> tuple[Generator, TriPlanes]:
    """The generator with the head's tuned weights, and the head's planes with what was added to them."""
    delta = inversion.generator_delta
    tuned = generator.with_delta(delta) if delta else generator
    planes = tuned.planes(inversion.latent.ws.to(tuned.device))
    if inversion.plane_offset is not None:
        planes = dataclasses.replace(planes, features=planes.features + inversion.plane_offset.to(tuned.device))
    return tuned, planes


@torch.no_grad()
def _renders(generator: Generator, inversion: Inversion, cameras: Camera, chunk: int) -> Iterator[Render]:
    generator, planes = head_planes(generator, inversion)
    ws = inversion.latent.ws.to(generator.device)
    if not chunk:
        # Cameras at other distances share bounds within a chunk; one at a time, so that free memory changes no picture.
        alike = len(cameras) > 0 and rays_for(generator, cameras) == generator.config.rendering
        free = free_bytes(generator.device) if alike else None
        chunk = frames_together(len(cameras), free, frame_bytes(generator.config))

    def views(of: slice) -> Render:
        with as_many_threads_as_pay():
            return generator.render(planes, ws, cameras[of], rendering=rays_for(generator, cameras[of]))

    for view in in_chunks(len(cameras), chunk, views):
        for i in range(len(view.image)):
            one = slice(i, i + 1)
            yield Render(view.image[one], view.image_raw[one], view.image_depth[one], view.opacity[one])


def rays_for(generator: Generator, cameras: Camera) -> RenderConfig:
    """The generator's ray settings with near and far moved by as much as these cameras are nearer or farther."""
    config = generator.config
    rendering, offset = config.rendering, cameras.position.norm(dim=1) - config.camera_radius
    if isinstance(rendering.ray_start, str) or isinstance(rendering.ray_end, str) or offset.abs().max() < 1e-3:
        return rendering
    start = max(0.01, rendering.ray_start + offset.min().item())
    return dataclasses.replace(rendering, ray_start=start, ray_end=rendering.ray_end + offset.max().item())
