"""One person of a set as arrays, straight or mirrored, and what tells who suits whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from ...camera import Camera
from ...metrics.identity import shared_network
from ..portraits import SIDE, PortraitSet

SKIN = (50, 280, 101, 330, 205, 425, 4, 195, 118, 347)  # cheeks and nose, bare on most faces
CHIN = (199, 200, 175, 208, 428, 171, 396)
FOREHEAD = (9, 151, 108, 337)  # above the brows
BARE = (50, 205, 187, 101, 36, 117, 118, 142, 207, 216, 206, 203, 129, 108, 69, 66, 147, 123, 212, 214)  # one half
MUCH_UNEVEN, MUCH_FRINGE = 0.065, 0.5
BRIDGE_EDGE = 0.06, 0.028  # that glasses make in large and in small photos
LEFT_EYE, RIGHT_EYE = (33, 133, 159, 145), (263, 362, 386, 374)  # corners and lids, in the picture
GREY = 0.02  # photos whose skin has channels that differ by less are black and white


@dataclass(frozen=True)
class Person:
    """Of a set: the picture float32 [s,s,3] in 0..1, mask float32 [128,128], points [478,2] in units of the side."""

    picture: np.ndarray
    mask: np.ndarray
    points: np.ndarray
    mesh: np.ndarray
    camera: Camera
    source_side: float
    name: str


def person(people: PortraitSet, number: int, mirrored: bool = False) -> Person:
    """A person of a set."""
    picture = people.image[number].permute(1, 2, 0).numpy().astype(np.float32) / 255
    mask = people.mask[number].numpy().astype(np.float32) / 255
    points = people.landmarks[number].numpy() / SIDE
    mesh, camera = people.mesh[number].numpy(), Camera.from_label(people.label[number : number + 1])
    if mirrored:
        partner = people.mirror_points.numpy()
        picture, mask = picture[:, ::-1], mask[:, ::-1]
        points = points[partner] * [-1, 1] + [1, 0]
        mesh, camera = mesh[partner[: len(mesh)]] * [-1, 1, 1], camera.mirrored()
    return Person(
        np.ascontiguousarray(picture),
        np.ascontiguousarray(mask),
        points.astype(np.float32),
        mesh.astype(np.float32),
        camera,
        float(people.source_side[number]),
        people.names[number],
    )


def colours_at(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """[P,3] at points [P,2] in units of the side; those outside count as the nearest inside."""
    side = picture.shape[0]
    x, y = np.clip((points * side).astype(int), 0, side - 1).T
    return picture[y, x]


@dataclass(frozen=True)
class Traits:
    """What tells who suits whom, for N people.

    yaw, pitch: degrees. open, smile: of the mouth, in distances of the eyes. tone: [N,3] logarithm of the skin's
    colour. beard: how much darker the chin is, logarithm. glasses: edges across the bridge of the nose, from 1 on
    probably of glasses. covered: how much hair, a hand or a shadow seems to be before the face; 1 is much. look:
    [N,128], embedding of the face, near for people of one age and sex.
    """

    yaw: np.ndarray
    pitch: np.ndarray
    open: np.ndarray
    smile: np.ndarray
    tone: np.ndarray
    beard: np.ndarray
    glasses: np.ndarray
    covered: np.ndarray
    look: np.ndarray

    @staticmethod
    def of(people: PortraitSet) -> Traits:
        """Measured."""
        points = people.landmarks.numpy() / SIDE
        eyes = np.linalg.norm(points[:, [33, 133]].mean(1) - points[:, [263, 362]].mean(1), axis=1)
        length = lambda a, b: np.linalg.norm(points[:, a] - points[:, b], axis=1) / eyes  # noqa: E731
        camera = people.camera
        pairs = np.array([(left, int(people.mirror_points[left])) for left in BARE])
        rows = [
            _skin(people.image[i].permute(1, 2, 0).numpy(), points[i], float(eyes[i]), pairs)
            for i in range(len(people))
        ]
        tone, beard, glasses, covered = (np.array(column) for column in zip(*rows, strict=True))
        return Traits(
            camera.yaw_degrees.numpy(), camera.pitch_degrees.numpy(), length(13, 14), length(61, 291),
            tone, beard, glasses / np.where(people.large.numpy(), *BRIDGE_EDGE), covered, _looks(people),
        )  # fmt: skip

    @property
    def grey(self) -> np.ndarray:
        """Bool [N]: whose photo is black and white."""
        return np.ptp(np.exp(self.tone), axis=1) < GREY

    def unlike(self, host: int, mirrored: bool) -> np.ndarray:
        """[N], how badly each would suit the host, whether straight or mirrored; 0 is the host itself."""
        yaw = -self.yaw if mirrored else self.yaw
        parts = (
            (yaw - self.yaw[host]) / 5,
            (self.pitch - self.pitch[host]) / 4,
            (self.open - self.open[host]) / 0.06,
            (self.smile - self.smile[host]) / 0.08,
            (self.beard - self.beard[host]) / 0.25,
            np.linalg.norm(self.tone - self.tone[host], axis=1) / 0.35,
            np.maximum(np.linalg.norm(self.look - self.look[host], axis=1) - 0.6, 0) / 0.1,
        )
        return sum(part**2 for part in parts)


@torch.no_grad()
def _looks(people: PortraitSet) -> np.ndarray:
    network = shared_network("cpu")
    pictures = people.image.split(16)
    points = (people.landmarks / SIDE * people.image.shape[-1]).split(16)
    rows = [network.embed(image.float() / 127.5 - 1, at) for image, at in zip(pictures, points, strict=True)]
    return torch.cat(rows).numpy()


def _skin(
    picture: np.ndarray, points: np.ndarray, eyes: float, pairs: np.ndarray
) -> tuple[np.ndarray, float, float, float]:
    """The logarithm of the skin's colour [3], and beard, glasses and covered of `Traits`.

    pairs: [B,2], points of bare skin and their mirror twins.
    """
    sigma = picture.shape[0] * 0.011
    picture = picture.astype(np.float32) / 255
    soft = gaussian_filter(picture, (sigma, sigma, 0))
    skin = np.median(colours_at(soft, points[list(SKIN)]), axis=0).clip(0.02, 1)
    chin = np.median(colours_at(soft, points[list(CHIN)]), axis=0).clip(0.02, 1)
    steps = np.linspace(0, 1, 48)[:, None]
    across = (np.linspace(-0.08, 0.08, 7) * eyes)[:, None, None] * np.array([1.0, 0.0])
    line = (points[8] + (points[197] - points[8]) * steps)[None] + across  # [7,48,2] down the bridge
    light = gaussian_filter(picture.mean(2, keepdims=True), (sigma * 0.3, sigma * 0.3, 0))
    shade = colours_at(light, line.reshape(-1, 2)).reshape(7, 48)
    ripple = np.median(shade - gaussian_filter(shade, (0, 6)), axis=0)  # a bridge crosses all seven lines
    glasses = float(np.abs(ripple).max() / (0.3 + skin.mean()))
    edges = gaussian_filter(np.abs(picture - soft).mean(2), sigma)
    left, right = (colours_at(edges, points[side]) for side in pairs.T)
    uneven = float(np.percentile(np.abs(left - right), 90) / (0.15 + skin.mean()))
    fringe = 1 - float(colours_at(soft, points[list(FOREHEAD)]).mean(1).min() / skin.mean())
    beard = float(np.log(skin).mean() - np.log(chin).mean())
    return np.log(skin), beard, glasses, max(uneven / MUCH_UNEVEN, fringe / MUCH_FRINGE)
