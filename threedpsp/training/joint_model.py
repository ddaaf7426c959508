"""What joint training trains and on what: networks, portraits, randomness, and how far it is."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..camera import Camera
from ..eg3d.config import GeneratorConfig
from ..eg3d.generator import Generator
from ..eg3d.rays import camera_rays
from ..eg3d.renderer import over_background, render_rays
from ..encoder.config import EncoderConfig
from ..encoder.encoder import build_encoder
from ..encoder.inversion import compute_avg_image
from ..metrics.identity import DlibIdentity
from ..metrics.perceptual import STLPIPS
from ..preprocessing.landmark_model import mirror_index
from ..types import TriPlanes
from .batches import IMAGE_SIDE, NONE, Augmentation, PortraitBatch, PortraitBatches
from .config import JointConfig
from .latents import principal_latents
from .losses import WHOLE, Window, cut
from .portraits import PortraitSet

WINDOW_SIDE = 64  # of the part of the photo's view that a step renders


@dataclass(frozen=True)
class Carried:
    """A batch on its way through the ReStyle loop: where it stands after some steps."""

    batch: PortraitBatch
    ws: Tensor
    image: Tensor
    steps: int


class JointModel:
    """One worker's networks and data at a step, and what they make of them."""

    def __init__(self, config: JointConfig):
        self.config = config
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.workers = dist.get_world_size() if dist.is_initialized() else 1
        torch.manual_seed(config.seed)
        portraits = PortraitSet.load(config.portraits)
        held = set(range(0, len(portraits), max(len(portraits) // max(config.held_out, 1), 1)))
        self.train_set = portraits.take([i for i in range(len(portraits)) if i not in held])
        self.dev_set = portraits.take(sorted(held))
        mirror_points = torch.from_numpy(mirror_index())
        mine = list(range(self.rank, len(self.train_set), self.workers))
        self.batches = PortraitBatches(self.train_set.take(mine), mirror_points, config.seed + 1 + self.rank)
        self.dev = PortraitBatches(self.dev_set, mirror_points, config.seed)
        self.random = torch.Generator().manual_seed(config.seed + 101 + self.rank)
        self.generator = Generator(GeneratorConfig.tiny())
        _start_gently(self.generator)
        sizes = self.generator.config
        samples = config.samples
        self.rendering = dataclasses.replace(
            sizes.rendering, depth_resolution=samples, depth_resolution_importance=samples
        )
        self.encoder = build_encoder(EncoderConfig.tiny(sizes.num_ws, sizes.w_dim), seed=config.seed).train()
        latents = principal_latents(self.train_set, sizes.w_dim)
        self.encoder.latent_avg.copy_(latents.mean(0).expand_as(self.encoder.latent_avg))
        self.latents = nn.Parameter(latents[mine])
        self.first_estimate: Tensor | None = None
        self.carried: Carried | None = None
        self.generator_ema = copy.deepcopy(self.generator).requires_grad_(False)
        self.encoder_ema = copy.deepcopy(self.encoder).requires_grad_(False)
        self.perceptual = STLPIPS("alex")
        self.identity = DlibIdentity()
        self.step = 0

    @property
    def encoder_share(self) -> float:
        """Share of latents that come from the encoder, 0..1."""
        c = self.config
        return min(max((self.step - c.handover_start) / max(c.handover_end - c.handover_start, 1), 0.0), 1.0)

    @torch.no_grad()
    def average_image(self) -> Tensor:
        """[1,3,128,128]: the mean latent from the front, where the loop starts; made anew every 50 steps."""
        if self.first_estimate is None or self.step % 50 == 0:
            self.first_estimate = compute_avg_image(self.generator, self.encoder.latent_avg, IMAGE_SIDE)
        return self.first_estimate

    def next_batch(self) -> PortraitBatch:
        """A new batch, or the last one for another step of the loop."""
        c = self.config
        if self.encoder_share < 1:
            return self.batches.draw(c.batch, NONE)
        return self.batches.draw(c.batch, Augmentation()) if self.carried is None else self.carried.batch

    def features(
        self, planes: TriPlanes, camera: Camera, side: int, window: Window = WHOLE
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The features [N,C,h,w] over the background, and the opacity and depth [N,1,h,w], of a window of the image.

        The samples are jittered.
        """
        rays = camera_rays(camera, side, *window)
        out = render_rays(planes, self.generator.decoder.mlp(), rays, self.rendering, generator=self.random)
        background = planes.background
        assert background is not None
        if window is not WHOLE:
            background = cut(background, window)  # as many texels as rays
        height, width = background.shape[2:] if window is not WHOLE else (side, side)
        shape = (len(planes), 1, height, width)
        opacity, depth = out.opacity.reshape(shape), out.depth.reshape(shape)
        features = out.features.transpose(1, 2).reshape(len(planes), -1, height, width)
        return over_background(features, opacity, background), opacity, depth

    def picture(self, planes: TriPlanes, ws: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor]:
        """The whole image [N,3,128,128], its opacity and depth."""
        features, opacity, depth = self.features(planes, camera, IMAGE_SIDE)
        return self.generator.superresolution(features[:, :3], features, ws), opacity, depth

    def face_window(self) -> Window:
        """A random window that shows much of the face."""
        room = IMAGE_SIDE - WINDOW_SIDE
        draw = torch.randn(2, generator=self.random) * room / 5 + room / 2
        top, left = draw.round().clamp(0, room).int().tolist()
        return slice(top, top + WINDOW_SIDE), slice(left, left + WINDOW_SIDE)


def _start_gently(generator: Generator) -> None:
    """Styles near one, so that early latents change colours before they change shapes; density row larger."""
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("affine.weight"):
                parameter.mul_(0.1)
        generator.decoder.net[2].weight[0].mul_(4)  # type: ignore[index]
    generator.backbone.mapping.requires_grad_(False)
