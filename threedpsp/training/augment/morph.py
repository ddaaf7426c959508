"""A face from several people: the host's picture bent to the new shape, with the donors' features put into it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from ...camera import Camera
from ...preprocessing.align import fit_template, five_points
from ...preprocessing.pose import estimate_camera
from ..mesh_paint import paint
from .people import LEFT_EYE, RIGHT_EYE, Person
from .regions import FaceParts
from .shapes import ShapeChange, reshaped
from .skin import grey, is_grey, skin_colour, skin_likeness, soft
from .warp import bent, warp_field

BROAD = 0.07  # share of the side: light and shade that are broader than this always come from the host
_EYES = ((468, LEFT_EYE), (473, RIGHT_EYE))  # the first of five points of each iris


@dataclass(frozen=True)
class Canvas:
    """What people are made on: triangles [T,3] of the mesh, the mean face [468,3], its parts, the picture's side."""

    triangles: np.ndarray
    mean: np.ndarray
    parts: FaceParts
    side: int = 256


def blended_mesh(meshes: np.ndarray, shapes: np.ndarray, change: ShapeChange, canvas: Canvas) -> np.ndarray:
    """[468,3] from P meshes [P,468,3] by the weights [R,P] of each part, and then changed."""
    weights = canvas.parts.weights @ shapes
    return reshaped(np.einsum("vp,pvc->vc", weights, meshes), change, canvas.mean).astype(np.float32)


@dataclass(frozen=True)
class Posed:
    """A face under a camera of its own: camera, mesh [468,3] in the world, points [478,2] in units of the side."""

    camera: Camera
    mesh: np.ndarray
    points: np.ndarray


def posed(mesh: np.ndarray, host: Person) -> Posed:
    """A new face [468,3] where the host's is: seen so that crop and camera are those that a photo of it would get.

    The points come to lie as the crop's five points demand, the camera is estimated from them, and the mesh is placed
    before that camera, so that it projects onto the points.
    """
    matrix, position = _rotation(host.camera)
    seen = (mesh - position) @ matrix
    focal = float(host.camera.intrinsics[0, 0, 0])
    xy = seen[:, :2] / seen[:, 2:] * focal + 0.5
    points = np.concatenate([xy, _irises(host.points, xy)])
    scale, origin = _crop(points)
    own_scale, own_origin = _crop(host.points)
    growth = scale / own_scale
    points = ((points - origin) * growth + own_origin).astype(np.float32)
    camera = estimate_camera(points[None])
    middle = seen[:, 2].mean()
    z = middle + (seen[:, 2] - middle) * growth
    lifted = np.concatenate([(points[: len(mesh)] - 0.5) / focal * z[:, None], z[:, None]], 1)
    matrix, position = _rotation(camera)
    return Posed(camera, (lifted @ matrix.T + position).astype(np.float32), points)


def _rotation(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    matrix = camera.cam2world[0].double().numpy()
    return matrix[:3, :3], matrix[:3, 3]


def _crop(points: np.ndarray) -> tuple[float, np.ndarray]:
    """How much larger a crop would show a face with these points, and where the template's origin lies in it [2]."""
    scale, (x, up) = fit_template(five_points(points) * 1000, 1001, 1.0)
    return scale, np.array([x, 1000 - up]) / 1000


def morphed(
    host: Person, donors: list[Person], colours: np.ndarray, face: Posed, tone: float, canvas: Canvas
) -> Person:
    """The host with a new face and with features of the donors.

    Args:
        host: gives hair, body, and the broad light and shade.
        donors: who else is in the face.
        colours: [R,P], how much of each part comes from the host and each donor.
        face: the new face, see `blended_mesh` and `posed`.
        tone: 0 keeps the host's skin, 1 takes the donors' mean.
        canvas: what people are made on.
    """
    side, mesh, points = canvas.side, face.mesh, face.points
    target = points[: len(mesh)]
    distance = np.linalg.norm(mesh - face.camera.position[0].numpy(), axis=1)
    field = warp_field(host.points[: len(mesh)], target, distance, canvas.triangles)
    own = bent(host.picture, field, side).clip(0, 1)
    mask = bent(host.mask[..., None], field, host.mask.shape[0], "bilinear")[..., 0].clip(0, 1)
    made = replace(host, picture=own, mask=mask, points=points, mesh=mesh, camera=face.camera)
    if not donors:
        return made
    others = [
        bent(d.picture, warp_field(d.points[: len(mesh)], target, distance, canvas.triangles), side).clip(0, 1)
        for d in donors
    ]
    base = skin_colour(own, points)
    if is_grey(base):
        others = [grey(other) for other in others]
    tones = [skin_colour(other, points) for other in others]
    log_gain = tone * (np.mean([np.log(t) for t in tones], 0) - np.log(base)).clip(-0.35, 0.35)
    recoloured = _recoloured(own, mask, points, base, log_gain)
    aim = base * np.exp(log_gain)
    others = [(other * (aim / t).clip(0.4, 2.5)).astype(np.float32) for other, t in zip(others, tones, strict=True)]
    weights = canvas.parts.weights @ colours
    weights[:, 1:] *= canvas.parts.inner[:, None]
    found, maps = paint(target, distance, canvas.triangles, np.c_[weights[:, 1:], np.ones(len(mesh))], side)
    sigma = 0.006 * side
    maps = gaussian_filter(maps, (sigma, sigma, 0)) * found[..., None]
    return replace(
        made,
        picture=_combined(recoloured, others, maps).clip(0, 1),
        source_side=min(p.source_side for p in (host, *donors)),
        name="+".join(p.name for p in (host, *donors)),
    )


def _combined(own: np.ndarray, others: list[np.ndarray], maps: np.ndarray) -> np.ndarray:
    """The host's picture, with differences from the broad light and shade mixed by the weights [s,s,D + 1]."""
    face = (maps[..., -1:] > 0.99).astype(np.float32)
    share = soft(face, BROAD).clip(1e-3)
    broad = lambda picture: soft(picture * face, BROAD) / share  # noqa: E731
    own_broad = broad(own)
    out = own.copy()
    for other, weight in zip(others, np.moveaxis(maps[..., :-1, None], 2, 0), strict=True):
        out += weight * (other - broad(other) + own_broad - own)
    return out


def _recoloured(
    picture: np.ndarray, mask: np.ndarray, points: np.ndarray, colour: np.ndarray, log_gain: np.ndarray
) -> np.ndarray:
    """The skin in another colour, on the face and wherever the person has the same hue."""
    if np.abs(log_gain).max() < 0.01:
        return picture
    person = zoom(mask, picture.shape[0] / mask.shape[0], order=1)
    amount = skin_likeness(picture, colour, person)[..., None]
    return picture * np.exp(amount * log_gain).astype(np.float32)


def _irises(old: np.ndarray, target: np.ndarray) -> np.ndarray:
    """[10,2]: the irises, moved and stretched with corners and lids; both in units of the side."""
    out = []
    for first, around in _EYES:
        before, after = old[list(around)], target[list(around)]
        scale = (after.std(0) / before.std(0).clip(1e-6)).clip(0.5, 2)
        out.append((old[first : first + 5] - before.mean(0)) * scale + after.mean(0))
    return np.concatenate(out)
