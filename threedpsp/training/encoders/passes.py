"""One batch through a system: ReStyle's steps, or the single ones, with gradients or without."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ...eg3d.generator import Generator
from ...encoder.e4e import StageSchedule
from ...encoder.encoder import Encoder
from ...encoder.inversion import compute_avg_image, resize_photo
from ...encoder.triplanenet import TriPlaneNet
from ...types import TriPlanes
from .comparison import Judges, Terms, View, views_of
from .config import TrainConfig
from .latent_terms import LatentCritic
from .loss_weights import LossWeights, branch_weights, loss_weights
from .networks import Trained, statistics_kept
from .photos import Batch
from .staged import Judged, judge, judge_and_backward


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a batch gave.

    loss: the weighted sum, mean over ReStyle's steps. terms: the last step's, before weighting.
    images: the front render after each step. mirror: the last mirror render, or None. ws: the last [N,L,w_dim].
    """

    loss: Tensor
    terms: Terms
    images: list[Tensor]
    mirror: Tensor | None
    ws: Tensor


class Passes:
    """Runs batches; knows the generator, the judges and the weights of the terms."""

    def __init__(
        self,
        config: TrainConfig,
        generator: Generator,
        judges: Judges,
        critic: LatentCritic | None = None,
    ) -> None:
        self.config = config
        self.generator = generator
        self.judges = judges
        self.critic = critic
        side = generator.config.img_resolution
        self.weights = loss_weights(config, side)
        self.branch_weights = branch_weights(config, side)
        self.stages = StageSchedule(config.stage_start, config.stage_every)
        self._avg_image: Tensor | None = None

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which the trained networks run."""
        return self.generator.precision.autocast(self.generator.device)

    def stage(self, network: Trained, step: int) -> int | None:
        """How many rows may differ (e4e); None for others."""
        return self.stages.stage(step, network.num_ws) if network.method == "e4e" else None

    def train(self, network: Trained, batch: Batch, step: int, scale: float) -> Outcome:
        """One batch with gradients, which are added to those that the parameters have."""
        return self._run(network, batch, step, scale)

    def validate(self, network: Trained, batch: Batch, step: int) -> Outcome:
        """One batch without gradients."""
        with torch.no_grad():
            return self._run(network, batch, step, None)

    def _run(self, network: Trained, batch: Batch, step: int, scale: float | None) -> Outcome:
        if isinstance(network, TriPlaneNet):
            return self._triplanenet(network, batch, step, scale)
        return self._encoder(network, batch, step, scale)

    def _views(self, batch: Batch, weights: LossWeights) -> list[View]:
        return views_of(batch, weights, self.judges, published_mirror_lpips=self.config.published_mirror_lpips)

    def _encoder(self, network: Encoder, batch: Batch, step: int, scale: float | None) -> Outcome:
        loop = network.config.input_channels == 6
        count = self.config.n_iters if loop else 1
        stage = self.stage(network, step)
        views = self._views(batch, self.weights)
        photo = resize_photo(batch.image, network.config.input_resolution)
        inputs = [photo]
        if loop:
            inputs.append(self._first_estimate(network).expand(len(batch), -1, -1, -1))
        ws = network.latent_avg.expand(len(batch), -1, -1)
        images, losses = [], []
        for _ in range(count):
            ws = self._residual(network, torch.cat(inputs, 1), batch, stage) + ws.detach()
            planes = self._planes(ws, scale is not None)
            judged = self._judge(planes, ws, views, self.weights, scale, stage)
            images.append(judged.images[0])
            losses.append(judged.loss)
            inputs = [photo, resize_photo(judged.images[0], network.config.input_resolution)]
        mirror = judged.images[1] if len(judged.images) > 1 else None
        return Outcome(torch.stack(losses).mean(), judged.terms, images, mirror, ws.detach())

    def _triplanenet(self, network: TriPlaneNet, batch: Batch, step: int, scale: float | None) -> Outcome:
        """ws as pSp; then, once its training has begun, the branch's change of the planes, ws staying as it is."""
        photo = resize_photo(batch.image, network.config.encoder.input_resolution)
        ws = self._residual(network.psp_encoder, photo, batch, None) + network.latent_avg
        planes = self._planes(ws, scale is not None)
        judged = self._judge(planes, ws, self._views(batch, self.weights), self.weights, scale, None)
        images, loss, terms, mirror = [judged.images[0]], judged.loss, judged.terms, None
        if step >= self.stages.start and self.branch_weights is not None:
            side = network.config.branch.resolution
            ws = ws.detach()
            fixed = dataclasses.replace(planes, features=planes.features.detach(), background=_cut(planes.background))
            seen, estimate = (resize_photo(image, side) for image in (batch.image, judged.images[0]))
            with self.autocast():
                offset = network.offset(self.generator, seen, estimate, fixed, ws, batch.camera).float()
            changed = dataclasses.replace(fixed, features=fixed.features + offset)
            views = self._views(batch, self.branch_weights)
            judged = self._judge(changed, ws, views, self.branch_weights, scale, None)
            images.append(judged.images[0])
            mirror = judged.images[1] if len(judged.images) > 1 else None
            terms = {**terms, **{f"branch_{name}": value for name, value in judged.terms.items()}}
            loss = loss + judged.loss
        return Outcome(loss, terms, images, mirror, ws.detach())

    def _judge(
        self,
        planes: TriPlanes,
        ws: Tensor,
        views: Sequence[View],
        weights: LossWeights,
        scale: float | None,
        stage: int | None,
    ) -> Judged:
        extra: Tensor | None = None
        terms: Terms = {}
        if self.critic is not None and stage is not None:
            extra, terms = self.critic.terms(ws, stage, weights)
        if scale is None:
            judged = judge(self.generator, planes, ws, views, weights.side)
            loss = judged.loss if extra is None else judged.loss + extra
        else:
            rays = self.config.render_side or None
            judged = judge_and_backward(self.generator, planes, ws, views, weights.side, scale, extra, rays)
            loss = judged.loss
        terms = {**judged.terms, **{name: value.detach() for name, value in terms.items()}}
        return Judged(judged.images, loss, terms)

    def _residual(self, network: Encoder, x: Tensor, batch: Batch, stage: int | None) -> Tensor:
        with self.autocast():
            if self.config.checkpointing and torch.is_grad_enabled():
                contexts = partial(_contexts, network, self.autocast)
                kept = checkpoint(
                    network, x, batch.camera, stage=stage,
                    use_reentrant=False, preserve_rng_state=False, context_fn=contexts,
                )  # fmt: skip
                return kept.float()
            return network(x, batch.camera, stage=stage).float()

    def _planes(self, ws: Tensor, differentiable: bool) -> TriPlanes:
        if self.config.checkpointing and differentiable:
            return checkpoint(self.generator.planes, ws, use_reentrant=False, preserve_rng_state=False)
        return self.generator.planes(ws)

    def _first_estimate(self, network: Encoder) -> Tensor:
        if self._avg_image is None:
            side = network.config.input_resolution
            self._avg_image = compute_avg_image(self.generator, network.latent_avg, side)
        return self._avg_image


def _contexts(
    network: Encoder, autocast: Callable[[], AbstractContextManager[Any]]
) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Of the first computation, and of the second, which must not count for the running statistics."""
    return autocast(), statistics_kept(network)


def _cut(t: Tensor | None) -> Tensor | None:
    return None if t is None else t.detach()
