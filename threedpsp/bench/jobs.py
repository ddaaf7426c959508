"""The jobs that are timed, each as the published code does it and as we do."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from .. import kernels
from ..eg3d.config import GeneratorConfig
from ..eg3d.generator import Generator
from ..eg3d.rays import camera_rays
from ..eg3d.renderer import RayFeatures, render_rays
from ..encoder.config import EncoderConfig
from ..encoder.encoder import build_encoder
from ..encoder.inversion import compute_avg_image, compute_latent_avg, invert
from ..errors import ThreeDPSPError
from ..packed_weights import with_packed_weights
from ..precision import FLOAT32, automatic_precision, convolutions_in
from ..types import TriPlanes
from ..weights.systems import load_generator

JobName = Literal[
    "render", "render_head", "render_backward", "synthesis", "turntable", "inversion", "tuning", "training", "demo"
]
Step = Callable[[], object]
"""One run of a job; where it returns a float, that is its time in seconds."""
FRAMES = 4  # of a turntable: a whole one is the same again and again


@dataclass(frozen=True)
class Task:
    """One job as one side does it."""

    job: JobName
    published: bool
    """Planes are made for every picture; what the ops do is set by the environment (`sides.py`)."""
    quick: bool = False
    """The embedded model's sizes, to try whether it works."""
    resolution: int = 0
    """Rays a side that render jobs take; 0: as the model has them."""
    samples: int = 0
    """Coarse and as many fine samples a ray, for render jobs; 0: as the model has them."""
    frames: int = FRAMES
    """Of the turntable."""
    batch: int = 1
    """Heads that synthesis makes at once."""

    def generator(self) -> Generator:
        """Random weights."""
        torch.manual_seed(0)
        config = GeneratorConfig.tiny() if self.quick else GeneratorConfig.ffhq512_128()
        generator = Generator(config).train(False).requires_grad_(False)
        generator.precision = FLOAT32 if self.published else automatic_precision(generator.device)[0]
        return generator

    def step(self) -> Step:
        """What is timed; making it is not."""
        return _MAKERS[self.job](self)


def _render(task: Task) -> Step:
    return _rays(task, task.generator())


def _rays(task: Task, generator: Generator, planes: TriPlanes | None = None) -> Callable[[], RayFeatures]:
    """Rendering planes, or random ones."""
    config = generator.config
    rendering, n = config.rendering, task.samples
    if n:
        rendering = dataclasses.replace(rendering, depth_resolution=n, depth_resolution_importance=n)
    made = _random_planes(generator) if planes is None else planes
    rays = camera_rays(generator.frontal_camera, task.resolution or config.neural_rendering_resolution)
    return lambda: render_rays(made, generator.decoder.mlp(), rays, rendering)


def _render_head(task: Task) -> Step:
    """A real head has surfaces, empty space and dark insides; ours leaves out samples that hardly any light reaches."""
    generator = load_generator("tiny", device="cpu")
    planes = generator.planes(_random_ws(generator))
    if not task.published:
        rendering = dataclasses.replace(generator.config.rendering, min_transmittance=1e-5)
        generator.config = dataclasses.replace(generator.config, rendering=rendering)
    return _rays(task if task.quick else dataclasses.replace(task, resolution=128, samples=48), generator, planes)


def _render_backward(task: Task) -> Step:
    generator = task.generator()
    planes = _random_planes(generator)
    planes.features.requires_grad_()
    rays = _rays(task, generator, planes)

    def step() -> None:
        planes.features.grad = None
        with torch.enable_grad():
            rays().features.sum().backward()

    return step


def _synthesis(task: Task) -> Step:
    generator = task.generator()
    ws = _random_ws(generator, task.batch)
    return lambda: generator.synthesis(ws, generator.frontal_camera)


def _turntable(task: Task) -> Step:
    generator = task.generator()
    ws, cameras = _random_ws(generator), generator.config.camera_sphere.at(torch.linspace(-30, 30, task.frames))

    def step() -> None:
        planes = None if task.published else generator.planes(ws)
        for index in range(task.frames):
            camera = cameras[index : index + 1]
            generator.render(generator.planes(ws) if planes is None else planes, ws, camera)

    return step


def _inversion(task: Task) -> Step:
    generator = task.generator()
    config = EncoderConfig.tiny(generator.config.num_ws, generator.config.w_dim)
    encoder = build_encoder(config if task.quick else EncoderConfig.threedpsp()).train(False).requires_grad_(False)
    if not task.published:
        encoder = with_packed_weights(convolutions_in(encoder, generator.precision.networks))
    encoder.generator_fingerprint = generator.fingerprint
    encoder.latent_avg.copy_(compute_latent_avg(generator, 100))
    first = compute_avg_image(generator, encoder.latent_avg, encoder.config.input_resolution)
    photo = torch.rand(1, 3, generator.config.img_resolution, generator.config.img_resolution) * 2 - 1
    return lambda: invert(encoder, generator, photo, generator.frontal_camera, 5, avg_image=first)


def _tuning(task: Task) -> Step:
    generator = task.generator().requires_grad_(True)
    generator.backbone.mapping.requires_grad_(False)
    ws = _random_ws(generator)
    target = torch.zeros(1, 3, generator.config.img_resolution, generator.config.img_resolution)

    def step() -> None:
        generator.zero_grad(set_to_none=True)
        with torch.enable_grad():
            image = generator.synthesis(ws, generator.frontal_camera).image
            (image - target).square().mean().backward()

    return step


def _training(task: Task) -> Step:
    from ..training.encoders.compare_published import measure

    def step() -> float:
        with torch.enable_grad():
            return measure("published" if task.published else "ours", "smallest" if task.quick else "full", 1)[
                "seconds"
            ]

    return step


def _demo(task: Task) -> Step:
    from ..cli import main

    def step() -> None:
        with tempfile.TemporaryDirectory() as folder:
            frames = "2" if task.quick else "48"
            code = main(["demo", "--no-refine", "--likeness", "none", "--frames", frames, "-o", str(Path(folder))])
        if code:
            raise ThreeDPSPError(f"The demo ended with exit code {code}.")

    return step


_MAKERS: dict[JobName, Callable[[Task], Step]] = {
    "render": _render,
    "render_head": _render_head,
    "render_backward": _render_backward,
    "synthesis": _synthesis,
    "turntable": _turntable,
    "inversion": _inversion,
    "tuning": _tuning,
    "training": _training,
    "demo": _demo,
}
JOBS: tuple[JobName, ...] = tuple(_MAKERS)


def _random_ws(generator: Generator, heads: int = 1) -> torch.Tensor:
    z = torch.randn(heads, generator.config.z_dim, generator=torch.Generator().manual_seed(0))
    return generator.mapping(z, generator.frontal_camera.expand(heads))


def _random_planes(generator: Generator) -> TriPlanes:
    config = generator.config
    side = config.plane_resolution
    features = torch.randn(1, 3, side, side, config.plane_channels)
    if kernels.image_format() == torch.contiguous_format:  # as published: channels before pixels
        features = features.permute(0, 1, 4, 2, 3).contiguous().permute(0, 1, 3, 4, 2)
    return TriPlanes(features, config.rendering.box_warp, config.plane_axes)
