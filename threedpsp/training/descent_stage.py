"""The stage after joint training: the descent on planes learns, on the finished generator and encoder.

By itself, for weights that are there already:

    python -m threedpsp.training.descent_stage --people people.safetensors --output runs/descent --descent.steps 600
"""

from __future__ import annotations

import logging
import time
from typing import Any

import torch
import torch.distributed as dist
import tyro
from torch import Tensor

from ..device import derived_seed
from ..encoder.inversion import N_ITERS, invert_steps
from ..encoder.plane_descent import DescentConfig, PlaneDescent, descend
from ..metrics.pixel import psnr
from ..weights.load import load_encoder, load_generator
from ..weights.write import write_safetensors
from .batches import IMAGE_SIDE, PortraitBatch, PortraitBatches
from .checkpoints import RESUME_POINT, read
from .config import JointConfig
from .descent import DescentLosses
from .descent_config import DescentTraining
from .draws import draw_people
from .encoders.state import pack_module, pack_optimizer, to_text, unpack_module, unpack_optimizer
from .finished import load_networks
from .joint_model import AUGMENTATION, JointModel
from .losses import projected
from .portraits import PortraitSet
from .reports import LossMeans
from .stop import StopRequest
from .trainer import average

log = logging.getLogger(__name__)

CHECKPOINT, WEIGHTS, KIND = "descent_checkpoint.safetensors", "descent.safetensors", "descent training"
ENCODER_STEPS = (1, 1, 1, 5)
"""Of the ReStyle loop before the descent begins, in turn: it must also mend heads that are further off."""
WARM_UP = 30


class DescentStage:
    """One worker."""

    def __init__(self, model: JointModel, config: DescentTraining, network: PlaneDescent) -> None:
        self.model, self.config, self.network = model, config, network.to(model.device)
        for frozen in (model.generator, model.encoder):
            frozen.requires_grad_(False).train(False)
        self.losses = DescentLosses(model, network, config)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))
        self.means = LossMeans()
        self.step = 0
        self.seconds = 0.0

    def batch(self) -> PortraitBatch:
        """This worker's portraits of the step."""
        c, model = self.config, self.model
        seed = model.config.seed
        made_up = model.made_up if self.step % 2 and model.made_up is not None else model.batches
        index = draw_people(made_up.set.large, c.batch, model.config.large_share, seed, "descent", self.step)
        share = model.workers.share(c.batch)
        seeds = [derived_seed(seed, f"descent {self.step}", i) for i in range(c.batch)]
        return made_up.make(index[share], AUGMENTATION, seeds[share]).to(model.device)

    def train_step(self) -> None:
        """One update of the network."""
        started = time.monotonic()
        model = self.model
        model.step = self.step
        model.reseed()
        batch = self.batch()
        ws = self.encoded(batch, ENCODER_STEPS[self.step % len(ENCODER_STEPS)])
        self.optimizer.zero_grad()
        losses = self.losses.backward(ws, batch, self.step)
        average([p.grad for p in self.network.parameters() if p.grad is not None])
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        factor = min(1.0, (self.step + 1) / WARM_UP) * max(1 - self.step / self.config.steps, 0.02)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor
        if norm.isfinite():  # a head that a step threw far off has no gradient to learn from
            self.optimizer.step()
        self.means.add({name: torch.tensor(value) for name, value in losses.items()})
        self.step += 1
        self.seconds += time.monotonic() - started

    @torch.no_grad()
    def encoded(self, batch: PortraitBatch, steps: int) -> Tensor:
        """ws [N,L,w_dim] after some steps of the encoder; the first needs no render."""
        model = self.model
        if steps == 1:
            inputs = torch.cat([batch.image, model.average_image().expand_as(batch.image)], 1)
            return model.encoder.latent_avg + model.encoder(inputs, batch.camera)
        *_, last = invert_steps(model.encoder, model.generator, batch.image, batch.camera, steps)
        return last.ws

    def save(self) -> None:
        """The state, and the network alone as it is used."""
        if self.model.workers.rank == 0:
            output = self.model.config.output
            tensors = pack_module("network", self.network)
            packed, numbers = pack_optimizer("optimizer", self.optimizer)
            state: dict[str, Any] = {"step": self.step, "seconds": self.seconds, "optimizer": numbers}
            write_safetensors(output / CHECKPOINT, tensors | packed, {"kind": KIND, "numbers": to_text(state)})
            weights, metadata = self.network.checkpoint()
            halved = {name: tensor.half() for name, tensor in weights.items()}
            write_safetensors(output / WEIGHTS, halved, metadata)
        if dist.is_initialized():
            dist.barrier()

    def resume(self) -> bool:
        """Go on from the state, if there is one."""
        path = self.model.config.output / CHECKPOINT
        if not path.is_file():
            return False
        tensors, numbers = read(path, KIND)
        self.step, self.seconds = int(numbers["step"]), float(numbers["seconds"])  # type: ignore[call-overload,arg-type]
        unpack_module("network", self.network, tensors)
        unpack_optimizer("optimizer", self.optimizer, tensors, numbers["optimizer"])  # type: ignore[arg-type]
        return True

    def run(self) -> None:
        """Until all steps are done, or someone asks to stop; the state is written either way.

        Raises:
            KeyboardInterrupt: someone asked.
        """
        if self.resume():
            log.info("descent: resumed at step %d", self.step)
        saved = self.seconds
        with StopRequest() as request:
            while self.step < self.config.steps:
                self.train_step()
                if self.step % 20 == 0 and self.model.workers.rank == 0:
                    losses = "  ".join(f"{name} {value:.4f}" for name, value in self.means.take().items())
                    log.info("descent: step %d  %.2f s a step  %s", self.step, self.seconds / self.step, losses)
                now, stop = request.agreed(self.seconds, self.model.device)
                if now - saved > self.model.config.save_minutes * 60 or stop:
                    saved = now
                    self.save()
                if stop:
                    raise KeyboardInterrupt(f"stopped at step {self.step} of the descent, which is saved")
        self.save()


def measure_descent(model: JointModel, network: PlaneDescent, people: PortraitSet, every: int = 1) -> dict[str, Any]:
    """Means by kind of people after each step: PSNR, ST-LPIPS (AlexNet), identity; at last identity at +-20 degrees.

    Also the processor's seconds that the descent of one photo takes, its last render included.
    """
    batches = PortraitBatches(people, people.mirror_points, model.config.seed)
    rows: dict[str, list[Tensor]] = {}
    spent = 0.0
    sphere = model.generator.config.camera_sphere
    for index in torch.arange(0, len(people), every).split(1):
        batch = batches.make(index).to(model.device)
        *_, start = invert_steps(model.encoder, model.generator, batch.image, batch.camera, N_ITERS)
        planes = model.generator.planes(start.ws)
        photo = torch.nn.functional.adaptive_avg_pool2d(batch.large_image, model.generator.config.img_resolution)
        figures, steps = [], descend(network, model.generator, planes, start.ws, batch.camera, photo)
        while True:
            began = time.process_time()
            step = next(steps, None)
            spent += time.process_time() - began
            if step is None:
                break
            offset, image = step.offset, torch.nn.functional.adaptive_avg_pool2d(step.render.image, IMAGE_SIDE)
            with torch.no_grad():
                image = image.clamp(-1, 1)
                figures += [psnr(image, batch.image), model.perceptual(image, batch.image)]
                figures.append(model.identity.distance(image, batch.image, batch.landmarks))
        with torch.no_grad():
            moved = type(planes)(planes.features + offset, planes.box_warp, planes.plane_axes, planes.background)
            wanted = model.identity.embed(batch.image, batch.landmarks)
            turned = []
            for yaw in (-20.0, 20.0):
                camera = sphere.at(yaw, 0.0).to(model.device)
                view = model.generator.render(moved, start.ws, camera).image
                view = torch.nn.functional.adaptive_avg_pool2d(view, IMAGE_SIDE)
                found = model.identity.embed(view, projected(batch.mesh, camera, IMAGE_SIDE))
                turned.append((found - wanted).norm(dim=1))
            figures.append(torch.stack(turned).mean(0))
        kind = people.names[int(index)].partition("/")[0]
        rows.setdefault(kind, []).append(torch.cat(figures))
    means = {kind: [round(x, 4) for x in torch.stack(r).mean(0).tolist()] for kind, r in sorted(rows.items())}
    return {"cpu_seconds": round(spent / sum(map(len, rows.values())), 3), **means}


def train_descent(config: JointConfig, network: DescentConfig | None = None) -> None:
    """The whole stage, from where it is to its end.

    Its generator and encoder are the averaged ones of the joint training in `output`; without one, those of
    `config.init`, or the embedded ones.
    """
    model = JointModel(config)
    if (config.output / RESUME_POINT).is_file():
        generator, encoder = load_networks(config.output / RESUME_POINT)
    else:
        generator = load_generator(config.init or "tiny", "cpu")
        encoder = load_encoder(config.init or "tiny", generator)
    generator.precision = model.generator.precision
    model.generator, model.encoder = generator.to(model.device), encoder.to(model.device)
    torch.manual_seed(config.seed)
    stage = DescentStage(model, config.descent, PlaneDescent(network or DescentConfig()))
    stage.run()
    if config.validation is not None and model.workers.rank == 0:
        log.info("descent: %s", measure_descent(model, stage.network, PortraitSet.load(config.validation)))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    stage_config = tyro.cli(JointConfig, description=__doc__)
    stage_config.output.mkdir(parents=True, exist_ok=True)
    train_descent(stage_config)
