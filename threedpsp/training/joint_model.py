"""What joint training trains and on what: networks, portraits, randomness, and how far it is."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..camera import Camera
from ..device import derived_seed, random_generator, resolve_device
from ..eg3d.config import GeneratorConfig
from ..eg3d.generator import Generator
from ..eg3d.rays import camera_rays
from ..eg3d.renderer import over_background, render_rays, sampling_numbers
from ..encoder.config import EncoderConfig
from ..encoder.encoder import build_encoder
from ..encoder.inversion import compute_avg_image, resize_photo
from ..precision import resolve_precision
from ..types import TriPlanes
from ..weights.load import load_encoder, load_generator
from .augment.photometric import Photometric
from .batches import IMAGE_SIDE, NONE, Augmentation, PortraitBatch, PortraitBatches
from .config import JointConfig
from .draws import Place, Workers, draw_people, place
from .encoders.networks import TINY_HEAD_WIDTH
from .grow import fill_face_trunk, grow_encoder, grow_generator
from .latents import principal_latents
from .loss_networks import load_loss_networks
from .losses import WHOLE, Window, cut
from .portraits import PortraitSet

WINDOW_SIDE = 64  # rays of the part of the photo's view that a step renders
REACH = 24  # rays that a window may be asked to lie beyond the picture's edges, so that it often lies at them


AUGMENTATION = Augmentation(photometric=Photometric())


@dataclass(frozen=True)
class Carried:
    """The encoder's half of a batch on its way through the ReStyle loop: where it stands after `place.done` steps."""

    place: Place
    batch: PortraitBatch
    ws: Tensor
    image: Tensor


class JointModel:
    """One worker's networks and data at a step, and what they make of them."""

    def __init__(self, config: JointConfig):
        self.config = config
        running = dist.is_initialized()
        self.workers = Workers(dist.get_rank(), dist.get_world_size()) if running else Workers()
        self.device = resolve_device(config.device or None)
        self.warm_from = 0
        torch.manual_seed(config.seed)
        self.people = PortraitSet.load(config.people)
        self.batches = self._batches(self.people)
        self.made_up = None if config.made_up is None else self._batches(PortraitSet.load(config.made_up))
        self.random = random_generator(config.seed)
        self.carried: Carried | None = None
        self.first_estimate: Tensor | None = None
        self.step = 0
        self.perceptual, self.identity = load_loss_networks(config.loss_networks, self.device)
        self._build_networks()

    def _batches(self, people: PortraitSet) -> PortraitBatches:
        return PortraitBatches(people, people.mirror_points, self.config.seed)

    def _build_networks(self) -> None:
        config = self.config
        self.generator = Generator(GeneratorConfig.tiny_256())
        sizes = self.generator.config
        shape = EncoderConfig.tiny(sizes.num_ws, sizes.w_dim)
        shape = dataclasses.replace(shape, head_width=TINY_HEAD_WIDTH, face_features=True)
        self.encoder = build_encoder(shape, seed=config.seed).train()
        samples = config.samples
        self.rendering = dataclasses.replace(
            sizes.rendering, depth_resolution=samples, depth_resolution_importance=samples
        )
        if config.init:
            self._start_from(config.init)
        else:
            _start_gently(self.generator)
        fill_face_trunk(self.encoder, self.identity)
        self.generator.backbone.mapping.requires_grad_(False)
        for network in (self.generator, self.encoder):
            network.to(self.device)
        self.latents = nn.Parameter(torch.zeros(len(self.people), sizes.num_ws, sizes.w_dim, device=self.device))
        self.generator.precision = resolve_precision(config.precision, self.device).for_training()
        self.generator_ema = copy.deepcopy(self.generator).requires_grad_(False)
        self.encoder_ema = copy.deepcopy(self.encoder).requires_grad_(False)

    def _start_from(self, init: str) -> None:
        """Fill the networks with trained ones, and leave out the stages before them."""
        generator = load_generator(init, "cpu")
        grow_generator(self.generator, generator)
        encoder = load_encoder(init, generator)
        shape = dataclasses.replace(encoder.config, face_features=True)
        self.encoder = build_encoder(shape, seed=self.config.seed).train()
        grow_encoder(self.encoder, encoder)
        self.step = self.warm_from = self.config.handover_end

    @torch.no_grad()
    def first_latents(self) -> None:
        """Each portrait's own latent: what the encoder finds, or, from nothing, by principal components."""
        if self.step:
            self.latents.copy_(self.encoded_people())
        else:
            latents = principal_latents(self.people, self.encoder.w_dim).to(self.device)
            self.latents.copy_(latents[:, None].expand_as(self.latents))
            for encoder in (self.encoder, self.encoder_ema):
                encoder.latent_avg.copy_(latents.mean(0).expand_as(encoder.latent_avg))

    @torch.no_grad()
    def encoded_people(self) -> Tensor:
        """ws [N,L,w_dim] of all people, after the encoder's first step."""
        rows = []
        for index in torch.arange(len(self.people)).split(16):
            batch = self.batches.make(index, NONE).to(self.device)
            inputs = torch.cat([batch.image, self.average_image().expand_as(batch.image)], 1)
            rows.append(self.encoder.latent_avg + self.encoder(inputs, batch.camera))
        return torch.cat(rows)

    @property
    def encoder_share(self) -> float:
        """Share of latents in the encoder's half that come from the encoder, 0..1."""
        c = self.config
        return min(max((self.step - c.handover_start) / max(c.handover_end - c.handover_start, 1), 0.0), 1.0)

    def reseed(self) -> None:
        """Random numbers of this worker in this step."""
        if self.step % 50 == 0:
            self.first_estimate = None
        seed = derived_seed(self.config.seed, f"worker {self.workers.rank} of {self.workers.count}", self.step)
        self.random.manual_seed(seed)

    @torch.no_grad()
    def average_image(self) -> Tensor:
        """[1,3,128,128]: the mean latent from the front, where the loop starts; made anew now and then."""
        if self.first_estimate is None:
            self.first_estimate = compute_avg_image(self.generator, self.encoder.latent_avg, IMAGE_SIDE)
        return self.first_estimate

    def own_half(self) -> PortraitBatch:
        """This worker's portraits of the step that are rendered from their own latents, as they are."""
        c = self.config
        index = draw_people(self.people.large, c.own_batch, c.large_share, c.seed, "own", self.step)
        return self.batches.make(index[self.workers.share(c.own_batch)], NONE).to(self.device)

    def encoder_half(self) -> PortraitBatch:
        """This worker's portraits for the encoder: new ones, or the last ones for another step of the loop."""
        c, here = self.config, place(self.step)
        if self.carried is not None and (self.carried.place.group, self.carried.place.done) == (here.group, here.done):
            return self.carried.batch
        self.carried = None
        share = self.workers.share(c.encoder_batch)
        if self.encoder_share < 1:
            index = draw_people(self.people.large, c.encoder_batch, c.large_share, c.seed, "encoder", self.step)
            return self.batches.make(index[share], NONE).to(self.device)
        choice = random_generator(derived_seed(c.seed, "kind", here.group))
        made_up = torch.rand([], generator=choice).item() < c.made_up_share
        batches = self.made_up if made_up and self.made_up is not None else self.batches
        index = draw_people(batches.set.large, c.encoder_batch, c.large_share, c.seed, "encoder", here.group)
        seeds = [derived_seed(c.seed, f"augmentation {here.group}", i) for i in range(c.encoder_batch)]
        return batches.make(index[share], AUGMENTATION, seeds[share]).to(self.device)

    @torch.no_grad()
    def carry(self, batch: PortraitBatch, ws: Tensor, planes: TriPlanes) -> None:
        """Keep what the encoder's half needs for another step of the loop, if it is to have one."""
        after = place(self.step + 1)
        if self.encoder_share < 1 or after.done == 0:
            self.carried = None
            return
        image = resize_photo(self.picture(planes, ws, batch.camera)[0], IMAGE_SIDE)
        self.carried = Carried(after, batch, ws.detach(), image)

    def features(
        self, planes: TriPlanes, camera: Camera, side: int, window: Window = WHOLE
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The features [N,C,h,w] over the background, and the opacity and depth [N,1,h,w], of a window of the image.

        The samples are jittered.
        """
        rays = camera_rays(camera, side, *window)
        n, m, _ = rays.origins.shape
        jitter, u = sampling_numbers(n, m, self.rendering, self.random, self.device)
        out = render_rays(planes, self.generator.decoder.mlp(), rays, self.rendering, jitter=jitter, u=u)
        background = planes.background
        assert background is not None
        if window is not WHOLE:
            background = cut(resize_photo(background, side), window)  # as many texels as rays
        height, width = background.shape[2:] if window is not WHOLE else (side, side)
        shape = (len(planes), 1, height, width)
        opacity, depth = out.opacity.reshape(shape), out.depth.reshape(shape)
        features = out.features.transpose(1, 2).reshape(len(planes), -1, height, width)
        return over_background(features, opacity, background), opacity, depth

    def picture(self, planes: TriPlanes, ws: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor]:
        """The whole image [N,3,R,R], and its opacity and depth at the side of its rays."""
        features, opacity, depth = self.features(planes, camera, IMAGE_SIDE)
        return self.generator.superresolution(features[:, :3], features, ws), opacity, depth

    def face_window(self) -> Window:
        """A random window: half of them show much of the face, the others lie anywhere, often at an edge."""
        room = IMAGE_SIDE - WINDOW_SIDE
        if torch.rand([], generator=self.random) < 0.5:
            draw = torch.randn(2, generator=self.random) * room / 5 + room / 2
        else:
            draw = torch.rand(2, generator=self.random) * (room + 2 * REACH) - REACH
        top, left = draw.round().clamp(0, room).int().tolist()
        return slice(top, top + WINDOW_SIDE), slice(left, left + WINDOW_SIDE)


def _start_gently(generator: Generator) -> None:
    """Styles near one, so that early latents change colours before they change shapes; density row larger."""
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("affine.weight"):
                parameter.mul_(0.1)
        generator.decoder.net[2].weight[0].mul_(4)  # type: ignore[index]
