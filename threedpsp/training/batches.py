"""Batches of portraits, as they are or moved, mirrored and tinted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..camera import FOCAL, Camera
from ..device import random_generator
from .augment.photometric import Photometric, changed
from .portraits import SIDE, PortraitSet

IMAGE_SIDE = 128
LARGE_IMAGE_SIDE = 256


@dataclass(frozen=True)
class PortraitBatch:
    """Portraits and what is known of them.

    image: [N,3,128,128], values from -1 to 1.
    large_image: [N,3,256,256], the same picture.
    large: [N], whether the large image shows true detail, and is no enlarged small photo.
    backdrop: [N,3,128,128], the photo with the person painted over by what is around.
    mask, face, depth: [N,1,128,128], where the person is, where the face is, and how far; the depth is 0 where
        there is no face.
    landmarks: [N,478,2], in pixels of the image.
    mesh: [N,468,3], in coordinates of the world.
    camera: the cameras of the portraits.
    index: [N], the number of the portrait in the set.
    flipped: [N], whether the portrait is mirrored.
    """

    image: Tensor
    large_image: Tensor
    large: Tensor
    backdrop: Tensor
    mask: Tensor
    face: Tensor
    depth: Tensor
    camera: Camera
    landmarks: Tensor
    mesh: Tensor
    index: Tensor
    flipped: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, part: slice) -> PortraitBatch:
        """Some of them."""
        return PortraitBatch(**{name: value[part] for name, value in vars(self).items()})

    def to(self, device: torch.device) -> PortraitBatch:
        """The same on another device."""
        return PortraitBatch(**{name: value.to(device) for name, value in vars(self).items()})

    @staticmethod
    def cat(batches: Sequence[PortraitBatch]) -> PortraitBatch:
        """Several, one after another."""
        fields = [vars(batch) for batch in batches]
        joined: dict[str, Any] = {
            name: (Camera.cat if name == "camera" else torch.cat)([values[name] for values in fields])
            for name in fields[0]
        }
        return PortraitBatch(**joined)


@dataclass(frozen=True)
class Augmentation:
    """How far a portrait may be changed; zeros leave it alone."""

    flip: float = 0.5
    """Share of mirrored portraits."""
    roll_degrees: float = 5.0
    shift: float = 0.015
    """Standard deviations of a turn in the image plane and of a move (share of the side)."""
    tint: float = 0.08
    """Standard deviation of brightness, contrast and colour changes."""
    photometric: Photometric | None = None
    """Further changes of light, colour and sharpness; pictures that lose sharpness no longer count as large."""


NONE = Augmentation(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class _Draws:
    """Random numbers for N portraits: angle [N], shift [N,2], flip [N] in 0..1, tint [N,5,1,1], seed [N]."""

    angle: Tensor
    shift: Tensor
    flip: Tensor
    tint: Tensor
    seed: Tensor

    @staticmethod
    def of(random: torch.Generator, n: int) -> _Draws:
        return _Draws(
            torch.randn(n, generator=random).clamp(-2, 2),
            torch.randn(n, 2, generator=random).clamp(-2, 2),
            torch.rand(n, generator=random),
            torch.randn(n, 5, 1, 1, generator=random),
            torch.randint(2**31, (n,), generator=random),
        )

    @staticmethod
    def cat(draws: list[_Draws]) -> _Draws:
        return _Draws(**{name: torch.cat([vars(one)[name] for one in draws]) for name in vars(draws[0])})


class PortraitBatches:
    """Makes batches of a set's people, changed at random."""

    def __init__(self, portraits: PortraitSet, mirror_points: Tensor, seed: int):
        """mirror_points: [478] or [468], index of each landmark's mirror partner."""
        self.set = portraits
        self.mirror_points = mirror_points
        self._random = random_generator(seed)

    def make(
        self, index: Tensor, augmentation: Augmentation = NONE, seeds: Sequence[int] | None = None
    ) -> PortraitBatch:
        """Certain portraits [N]; with N seeds each of them is changed by its own, whatever was drawn before."""
        if seeds is None:
            return self._made(index, augmentation, _Draws.of(self._random, len(index)))
        return self._made(index, augmentation, _Draws.cat([_Draws.of(random_generator(s), 1) for s in seeds]))

    def _made(self, index: Tensor, augmentation: Augmentation, draws: _Draws) -> PortraitBatch:
        s = self.set
        angle = torch.deg2rad(draws.angle * augmentation.roll_degrees)
        shift = draws.shift * augmentation.shift
        flipped = draws.flip < augmentation.flip
        image = s.image[index].float() / 127.5 - 1
        depth = s.depth[index][:, None].float()
        maps = torch.cat([s.mask[index][:, None].float() / 255, (depth > 0).float(), depth], 1)
        matrix = rotation_2d(angle)
        image = _moved(image, matrix, shift, LARGE_IMAGE_SIDE, "bicubic").clamp(-1, 1)
        maps = _moved(maps, matrix, shift, IMAGE_SIDE, "bilinear")
        landmarks = (s.landmarks[index] / SIDE - 0.5) @ matrix.mT + 0.5 + shift[:, None]
        camera = turned(Camera.from_label(s.label[index]), angle, shift)
        mesh = s.mesh[index]
        if flipped.any():
            image, maps = (torch.where(flipped[:, None, None, None], t.flip(3), t) for t in (image, maps))
            mirrored = camera.mirrored()
            cam2world = torch.where(flipped[:, None, None], mirrored.cam2world, camera.cam2world)
            camera = Camera(cam2world, camera.intrinsics)
            partner = landmarks[:, self.mirror_points] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
            landmarks = torch.where(flipped[:, None, None], partner, landmarks)
            other = mesh[:, self.mirror_points[: mesh.shape[1]]] * torch.tensor([-1.0, 1.0, 1.0])
            mesh = torch.where(flipped[:, None, None], other, mesh)
        if augmentation.tint:
            channels, gain, offset = draws.tint.split([3, 1, 1], 1)
            image = image * (1 + (channels * 0.5 + gain) * augmentation.tint) + offset * augmentation.tint
            image = image.clamp(-1, 1)
        large = s.large[index]
        if augmentation.photometric is not None:
            image, sharp = changed(image, draws.seed.tolist(), augmentation.photometric)
            large = large & sharp
        large_image, image = image, F.avg_pool2d(image, LARGE_IMAGE_SIDE // IMAGE_SIDE)
        face = (maps[:, 1:2] > 0.99).float()
        depth = maps[:, 2:3] / maps[:, 1:2].clamp_min(0.5) * face
        backdrop = without_person(image, maps[:, :1])
        return PortraitBatch(
            image=image,
            large_image=large_image,
            large=large,
            backdrop=backdrop,
            mask=maps[:, :1],
            face=face,
            depth=depth,
            camera=camera,
            landmarks=landmarks * IMAGE_SIDE,
            mesh=mesh,
            index=index,
            flipped=flipped,
        )


def rotation_2d(angle: Tensor) -> Tensor:
    """[N] radians -> [N,2,2], turning x towards y."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)


def turned(camera: Camera, angle: Tensor, shift: Tensor) -> Camera:
    """The camera that sees the image turned about its middle by `angle` and moved by `shift` (shares of the side).

    A move is a small turn of the camera: exact in the middle, within .1 pixel at the edge for shifts of .03.
    """
    n, dtype = len(camera), camera.cam2world.dtype
    roll = torch.eye(3, dtype=dtype).repeat(n, 1, 1)
    roll[:, :2, :2] = rotation_2d(angle)
    x_axis, y_axis = torch.atan(shift[:, 0] / FOCAL), torch.atan(shift[:, 1] / FOCAL)
    zero, one = torch.zeros(n), torch.ones(n)
    pan = torch.stack([x_axis.cos(), zero, x_axis.sin(), zero, one, zero, -x_axis.sin(), zero, x_axis.cos()], 1)
    tilt = torch.stack([one, zero, zero, zero, y_axis.cos(), y_axis.sin(), zero, -y_axis.sin(), y_axis.cos()], 1)
    motion = tilt.view(n, 3, 3) @ pan.view(n, 3, 3) @ roll  # of the scene in camera coordinates
    cam2world = camera.cam2world.clone()
    cam2world[:, :3, :3] = cam2world[:, :3, :3] @ motion.mT
    return Camera(cam2world, camera.intrinsics)


def without_person(image: Tensor, mask: Tensor) -> Tensor:
    """The image where the mask is 0, and smooth colours from around where it is 1 (pull, then push)."""
    certain = (1 - F.max_pool2d(mask, 7, 1, 3)).clamp_min(0)
    colours, weights = [image * certain], [certain]
    while colours[-1].shape[-1] > 1:
        colours.append(F.avg_pool2d(colours[-1], 2))
        weights.append(F.avg_pool2d(weights[-1], 2))
    filled = colours[-1] / weights[-1].clamp_min(1e-4)
    for colour, weight in zip(colours[-2::-1], weights[-2::-1], strict=True):
        filled = F.interpolate(filled, scale_factor=2, mode="bilinear", align_corners=False)
        own = colour / weight.clamp_min(1e-4)
        filled = torch.where(weight > 1e-4, filled + (own - filled) * weight.clamp(max=1), filled)
    return filled


def _moved(x: Tensor, matrix: Tensor, shift: Tensor, side: int, mode: Literal["bilinear", "bicubic"]) -> Tensor:
    """x [N,C,s,s] turned and moved, resampled to [N,C,side,side]; mirrored beyond its edges."""
    inverse = matrix.mT
    offset = -(inverse @ (2 * shift)[:, :, None])
    theta = torch.cat([inverse, offset], 2)
    grid = F.affine_grid(theta, [len(x), x.shape[1], side, side], align_corners=False)
    return F.grid_sample(x, grid, mode=mode, padding_mode="reflection", align_corners=False)


def eye_and_mouth_weight(landmarks: Tensor, side: int, extra: float = 5.0) -> Tensor:
    """[N,1,side,side]: 1, and up to 1 + extra around eyes and mouth; landmarks [N,478,2] in pixels of that side."""
    groups = ((33, 133, 159, 145), (263, 362, 386, 374), (13, 14, 61, 291))
    centres = torch.stack([landmarks[:, list(g)].mean(1) for g in groups], 1)  # [N,3,2]
    eyes = (centres[:, 0] - centres[:, 1]).norm(dim=1)
    steps = torch.arange(side, device=landmarks.device) + 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    distance2 = (torch.stack([x, y], -1)[None, None] - centres[:, :, None, None]).square().sum(-1)
    sigma2 = (0.22 * eyes).square()[:, None, None, None]
    return 1 + extra * torch.exp(-distance2 / (2 * sigma2)).amax(1, keepdim=True)


def feature_strips(image: Tensor, landmarks: Tensor, corner: tuple[int, int] = (0, 0)) -> Tensor:
    """The eye strips of all, then their mouth strips, in one tensor of shape (2N, C, 64, 192)."""
    mouth = mouth_strip(image, landmarks, corner)
    return torch.cat([eye_strip(image, landmarks, corner), mouth])


def eye_strip(image: Tensor, landmarks: Tensor, corner: tuple[int, int] = (0, 0)) -> Tensor:
    """Both eyes, enlarged, in one picture [N,C,64,192], which is black where the image does not reach.

    image: [N,C,h,w], a window of a picture.
    landmarks: [N,478,2], in pixels of the whole picture.
    corner: where the window begins, as the number of its first row and that of its first column in the picture.
    """
    eyes = torch.stack([landmarks[:, [33, 133]].mean(1), landmarks[:, [263, 362]].mean(1)], 1)  # [N,2,2]
    return _strip(image, eyes.mean(1), (eyes[:, 0] - eyes[:, 1]).norm(dim=1) * 0.9, corner)


def mouth_strip(image: Tensor, landmarks: Tensor, corner: tuple[int, int] = (0, 0)) -> Tensor:
    """The same for the mouth as `eye_strip` for the eyes, of the same shape."""
    corners = landmarks[:, [61, 291]]
    centre = landmarks[:, [13, 14, 61, 291]].mean(1)
    return _strip(image, centre, (corners[:, 0] - corners[:, 1]).norm(dim=1).clamp_min(1) * 1.1, corner)


def _strip(image: Tensor, centre: Tensor, half_width: Tensor, corner: tuple[int, int]) -> Tensor:
    """[N,C,64,192] around centres [N,2], in pixels of the whole picture that the image is a window of."""
    centre = centre - centre.new_tensor([corner[1], corner[0]])
    half = half_width[:, None] * centre.new_tensor([1.0, 1 / 3])
    side = centre.new_tensor([image.shape[3], image.shape[2]])
    steps = (torch.linspace(-1, 1, n, device=image.device) for n in (64, 192))
    y, x = torch.meshgrid(*steps, indexing="ij")
    pixels = centre[:, None, None] + torch.stack([x, y], -1) * half[:, None, None]
    return F.grid_sample(image, pixels / side * 2 - 1, align_corners=False)
