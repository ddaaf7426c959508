"""People to profile with, where there is no file of them: heads that the embedded generator makes up."""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate

from ..camera import Camera
from ..device import random_generator
from ..eg3d.generator import Generator
from ..preprocessing.landmark_model import canonical_face, mirror_index
from ..preprocessing.pose import canonical_in_world
from ..training.losses import projected
from ..training.portraits import MAP_SIDE, SIDE, PortraitSet
from ..types import FaceCrop


@torch.no_grad()
def made_up(generator: Generator, n: int) -> PortraitSet:
    """Rendered heads [n]; each face's mesh is the mean face's, and irises lie on other points."""
    z = torch.randn(n, generator.config.z_dim, generator=random_generator(0))
    camera = Camera.orbit(torch.linspace(-10, 10, n))
    render = generator.synthesis(generator.mapping(z, generator.frontal_camera, 0.7), camera)
    image = interpolate(render.image.clamp(-1, 1), size=SIDE).add(1).mul(127.5).byte()
    opacity, depth = (interpolate(t, size=MAP_SIDE)[:, 0] for t in (render.opacity, render.image_depth))
    mesh = torch.from_numpy(canonical_in_world()).float().expand(n, -1, -1)
    points = projected(mesh, camera, SIDE)
    return PortraitSet(
        image=image,
        mask=(opacity * 255).byte(),
        label=camera.label,
        landmarks=torch.cat([points, points[:, :10]], 1),
        mesh=mesh,
        depth=torch.where(opacity > 0.99, depth, torch.zeros(())).half(),
        source_side=torch.full((n,), float(generator.config.img_resolution)),
        names=tuple(f"made up/{number}" for number in range(n)),
        mirror_points=torch.from_numpy(mirror_index()),
        triangles=torch.from_numpy(canonical_face().triangles),
    )


def crop_of(people: PortraitSet, index: int) -> FaceCrop:
    """One of them, as a prepared photo."""
    one = slice(index, index + 1)
    image = people.image[one].float() / 127.5 - 1
    return FaceCrop(image, Camera.from_label(people.label[one]), landmarks=people.landmarks[one])
