"""From a joint training's checkpoint to the embedded weights: fits mapping, saves generator and encoder."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor

from ..camera import Camera
from ..eg3d.generator import Generator
from ..eg3d.layers import LRELU_GAIN, LRELU_SLOPE
from ..eg3d.mapping import Mapping, unit_second_moment
from ..encoder.encoder import Encoder
from ..encoder.inversion import invert_steps
from ..encoder.plane_descent import descent_from_checkpoint
from ..weights.load import load_generator, save_encoder, save_generator
from ..weights.write import write_safetensors
from .batches import Augmentation, PortraitBatches
from .checkpoints import RESUME_POINT, read_weights
from .descent_stage import WEIGHTS
from .finished import load_networks
from .portraits import PortraitSet

log = logging.getLogger(__name__)

MOST_STEPS = 3000
COMPONENTS = 96  # of the portraits' w that z spans; the rest is what the encoder could not explain


@torch.no_grad()
def portrait_ws(generator: Generator, encoder: Encoder, portraits: PortraitSet, steps: int) -> Tensor:
    """ws [2N,L,w_dim] of all portraits and their mirror images."""
    batches = PortraitBatches(portraits, portraits.mirror_points, seed=0)
    rows = []
    for flip in (0.0, 1.0):
        augmentation = Augmentation(flip=flip, roll_degrees=0, shift=0, tint=0)
        for start in range(0, len(portraits), 8):
            batch = batches.make(torch.arange(start, min(start + 8, len(portraits))), augmentation)
            *_, last = invert_steps(encoder, generator, batch.image, batch.camera, steps)
            rows.append(last.ws)
    return torch.cat(rows)


def fit_mapping(mapping: Mapping, w: Tensor, labels: Tensor, *, steps: int = MOST_STEPS, seed: int = 0) -> float:
    """Make mapping turn standard normal z into the distribution of w: a Gaussian on its principal components.

    Args:
        mapping: changed in place.
        w: [M,w_dim] to imitate.
        labels: [K,25] conditioning cameras that mapping shall not mind.
        steps: of Adam, batches of 256.
        seed: of z and of the start.

    Returns:
        The last error, in standard deviations of w.
    """
    random = torch.Generator().manual_seed(seed)
    mean = w.mean(0)
    _, strength, directions = torch.linalg.svd(w - mean, full_matrices=False)
    kept = min(COMPONENTS, mapping.z_dim, len(strength))
    basis = directions[:kept] * (strength[:kept] / math.sqrt(len(w) - 1))[:, None]
    spread = w.std()
    layers = [mapping.embed, *mapping.layers()]
    effective = [t.detach().clone().requires_grad_() for layer in layers for t in layer.effective()]
    optimizer = torch.optim.Adam(effective, lr=2e-3)
    error = math.inf
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 2e-3 * min(1.0, 2 * (1 - step / steps))
        z = torch.randn(256, mapping.z_dim, generator=random)
        label = labels[torch.randint(len(labels), (256,), generator=random)]
        h = torch.cat([unit_second_moment(z), unit_second_moment(F.linear(label, *effective[:2]))], 1)
        for weight, bias in zip(effective[2::2], effective[3::2], strict=True):
            h = F.leaky_relu(F.linear(h, weight, bias), LRELU_SLOPE) * LRELU_GAIN
        loss = ((h - mean - z[:, :kept] @ basis) / spread).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        error = loss.item() ** 0.5
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, zip(effective[::2], effective[1::2], strict=True), strict=True):
            layer.weight.copy_(weight / layer.weight_gain)
            layer.bias.copy_(bias / layer.bias_gain)
        mapping.w_avg.copy_(mean)
    return error


def main(people: Path, run: Path, output: Path, steps: int = 3, sample: int = 350) -> None:
    """Finish a run.

    Args:
        people: what the training read.
        run: folder of the joint training.
        output: folder for generator.safetensors, encoder.safetensors and descent.safetensors.
        steps: encoder steps that make the portraits' ws.
        sample: portraits (and their mirror images) whose w mapping imitates.
    """
    generator, encoder = load_networks(run / RESUME_POINT)
    data = PortraitSet.load(people)
    data = data.take(list(range(0, len(data), max(len(data) // sample, 1))))
    ws = portrait_ws(generator, encoder, data, steps)
    labels = Camera.from_label(data.label).label
    fitting = min(MOST_STEPS, 30 * len(ws))  # few portraits span few components
    error = fit_mapping(generator.backbone.mapping, ws.mean(1), labels, steps=fitting)
    log.info("mapping: error %.3f standard deviations", error)
    output.mkdir(parents=True, exist_ok=True)
    save_generator(generator, output / "generator.safetensors")
    encoder.generator_fingerprint = load_generator(output, "cpu").fingerprint
    save_encoder(encoder, output / "encoder.safetensors")
    if (run / WEIGHTS).is_file():
        descent = descent_from_checkpoint(*read_weights(run / WEIGHTS))
        descent.generator_fingerprint = encoder.generator_fingerprint
        tensors, metadata = descent.checkpoint()
        write_safetensors(output / WEIGHTS, {name: t.half() for name, t in tensors.items()}, metadata)
    log.info("saved to %s, generator %s", output, encoder.generator_fingerprint)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tyro.cli(main, description=__doc__)
