"""One training step of the encoder at full size, ours and as published, timed and weighed side by side on the CPU.

    python -m threedpsp.training.encoders.compare_published

As published: the planes are made again for the mirror view, both views stay in memory until one backward pass, the
photo's features are computed again each time, and rays are composited by plain tensor operations. Both run the same
networks (random weights), losses that need no download (L2, ST-LPIPS, dlib's identity, for both views), and Ranger.
Each runs in a process of its own: a step to warm up and to make the optimizer's memory, then the measured ones.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, run
from typing import Literal

import torch
import tyro
from torch import Tensor

from ...eg3d.config import GeneratorConfig
from ...eg3d.generator import Generator
from ...encoder.encoder import Encoder
from ...encoder.inversion import compute_avg_image, resize_photo
from ...errors import ThreeDPSPError
from ...kernels import Implementation
from ...metrics.identity import DlibIdentity
from ...metrics.perceptual import STLPIPS
from ...precision import automatic_precision
from ...process_memory import forget_peak, resident_bytes
from ..ranger import build_ranger
from .comparison import Judges
from .config import NetworkSize, TrainConfig
from .loss_weights import loss_weights
from .networks import build_trained, set_training
from .passes import Passes
from .photos import Batch
from .rendered import RenderedFaces

log = logging.getLogger(__name__)
Variant = Literal["ours", "ours, no checkpointing", "published", "published, our renderer"]
VARIANTS: tuple[Variant, ...] = ("published", "published, our renderer", "ours, no checkpointing", "ours")


@dataclass(frozen=True)
class Comparison:
    """What is compared."""

    steps: int = 1
    """Measured steps of each."""
    size: NetworkSize = "full"
    """full: the published sizes at 512 pixels; smallest: the embedded generator, only to try this script."""
    output: Path | None = None
    """A JSON file for the figures."""
    variant: Variant | None = None
    """Only this one, in this process; its figures go to stdout as JSON."""


def main(comparison: Comparison) -> None:
    """All variants, one after another."""
    if comparison.variant is not None:
        sys.stdout.write(json.dumps(measure(comparison.variant, comparison.size, comparison.steps)) + "\n")
        return
    figures = {}
    for variant in VARIANTS:
        arguments = ["--steps", str(comparison.steps), "--size", comparison.size, "--variant", variant]
        done = run([sys.executable, "-m", __spec__.name, *arguments], stdout=PIPE, check=False)
        if done.returncode:
            raise ThreeDPSPError(f"{variant}: the process ended with exit code {done.returncode}.")
        figures[variant] = json.loads(done.stdout)
        words = "%-26s %6.1f s a step (%.1f s of all cores), peak %5.2f GB, %5.2f GB of it for the step"
        log.info(words, variant, *figures[variant].values())
    if comparison.output is not None:
        comparison.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def measure(variant: Variant, size: NetworkSize, steps: int) -> dict[str, float]:
    """Seconds a step (median; also of all cores together), peak memory in GB, and how much of it a step adds."""
    settings = TrainConfig(size=size, batch=1, n_iters=1, latent_avg_samples=100, checkpointing=variant == "ours")
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig.ffhq512_128() if size == "full" else GeneratorConfig.tiny())
    generator.train(False).requires_grad_(False)
    if variant.startswith("ours"):
        generator.precision = automatic_precision(generator.device)[0]
    network = build_trained(settings, generator)
    if not isinstance(network, Encoder):
        raise ThreeDPSPError("An encoder is compared.")
    judges = Judges(STLPIPS(), DlibIdentity(), generator.precision)
    batch = RenderedFaces(generator, loss_weights(settings, generator.config.img_resolution).side, seed=0).batch([0])
    optimizer = build_ranger(network.parameters(), settings.learning_rate)
    set_training(network, "batch")
    passes = Passes(settings, generator, judges)
    first = compute_avg_image(generator, network.latent_avg, network.config.input_resolution)
    seconds, cpu_seconds = [], []
    resident = 0.0
    for index in range(steps + 1):
        optimizer.zero_grad(set_to_none=True)
        if index == 1:
            forget_peak()
            resident = _memory("now")
        started, cpu_started = time.perf_counter(), time.process_time()
        if variant.startswith("ours"):
            passes.train(network, batch, 0, 1.0)
        else:
            implementation: Implementation = "reference" if variant == "published" else "auto"
            published_step(network, generator, judges, batch, first, implementation).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - started)
        cpu_seconds.append(time.process_time() - cpu_started)
    peak = _memory("peak")
    return {
        "seconds": statistics.median(seconds[1:]),
        "cpu_seconds": statistics.median(cpu_seconds[1:]),
        "peak_gb": peak,
        "step_gb": peak - resident,
    }


def published_step(
    network: Encoder, generator: Generator, judges: Judges, batch: Batch, first: Tensor, implementation: Implementation
) -> Tensor:
    """The loss of one ReStyle step as the published training computes it (with the mirror LPIPS corrected)."""
    weights = loss_weights(TrainConfig(), generator.config.img_resolution)
    photo = resize_photo(batch.image, network.config.input_resolution)
    ws = network(torch.cat([photo, first.expand_as(photo)], 1), batch.camera) + network.latent_avg
    total = ws.new_zeros([])
    for camera, target, certainty in (
        (batch.camera, batch.image, None),
        (batch.camera.mirrored(), batch.mirror_image, batch.mirror_certainty),
    ):
        image = generator.render(generator.planes(ws), ws, camera, implementation=implementation).image
        error = (image - target).square().mean(1, keepdim=True)
        total = total + (error if certainty is None else error * certainty).mean()
        if judges.perceptual is not None:
            total = total + weights.perceptual * judges.perceptual(image, target).mean()
        identity = judges.identity_distance(judges.embed(image, camera), judges.embed(target, camera).detach())
        total = total + weights.identity * identity.mean()
    return total


def _memory(what: Literal["now", "peak"]) -> float:
    """Of this process, in GB."""
    found = resident_bytes(what)
    if found is None:
        raise ThreeDPSPError("This system does not tell a process's memory; run the comparison on Linux.")
    return found / 1e9


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(tyro.cli(Comparison))
