"""Portraits of nobody, for tests of the training."""

from __future__ import annotations

import torch

from threedpsp.camera import Camera
from threedpsp.preprocessing.landmark_model import canonical_face, mirror_index
from threedpsp.preprocessing.pose import canonical_in_world
from threedpsp.training.batches import IMAGE_SIDE
from threedpsp.training.losses import projected
from threedpsp.training.portraits import PortraitSet
from threedpsp.weights.load import load_generator


def generated_portraits(n: int) -> PortraitSet:
    """Faces of the embedded generator with the mean face's mesh."""
    generator = load_generator("tiny", "cpu")
    random = torch.Generator().manual_seed(0)
    z = torch.randn(n, generator.config.z_dim, generator=random)
    camera = Camera.orbit(torch.linspace(-10, 10, n))
    with torch.no_grad():
        render = generator.synthesis(generator.mapping(z, Camera.frontal(), 0.7), camera)
    image = torch.nn.functional.interpolate(render.image.clamp(-1, 1), size=256).add(1).mul(127.5).byte()
    maps = [torch.nn.functional.interpolate(t, size=IMAGE_SIDE)[:, 0] for t in (render.opacity, render.image_depth)]
    mesh = torch.from_numpy(canonical_in_world()).float().expand(n, -1, -1)
    points = projected(mesh, camera, 256)
    landmarks = torch.cat([points, points[:, :10]], 1)
    depth = torch.where(maps[0] > 0.99, maps[1], torch.zeros(()))
    return PortraitSet(
        image=image,
        mask=(maps[0] * 255).byte(),
        label=camera.label,
        landmarks=landmarks,
        mesh=mesh,
        depth=depth.half(),
        source_side=torch.full((n,), 128.0),
        names=tuple(map(str, range(n))),
        mirror_points=torch.from_numpy(mirror_index()),
        triangles=torch.from_numpy(canonical_face().triangles),
    )
