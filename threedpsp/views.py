"""Pictures, depth, normals and masks of heads, collected in main memory: what a node or a notebook shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .camera import Camera
from .eg3d.generator import Generator
from .eg3d.normals import depth_normals, depth_picture
from .errors import InputError
from .export.images import enlarge
from .rendering import HasGenerator, Progress, render
from .threads import as_many_threads_as_pay
from .types import Inversion


@dataclass(frozen=True)
class Views:
    """N views, on the CPU.

    image: [N,3,R,R] from -1 to 1, channels last in memory.
    normals: [N,3,r,r] from -1 to 1.
    depth: [N,1,r,r] from 0, which is the background, to 1, which is near.
    opacity: [N,1,r,r], from 0 to 1.
    """

    image: Tensor
    depth: Tensor
    normals: Tensor
    opacity: Tensor


def own_views(source: Generator | HasGenerator, heads: Sequence[Inversion]) -> Float[Tensor, "n 3 r r"]:
    """Each head from its photo's camera, on the CPU; nothing is rendered where the head still has its picture."""
    images = []
    for head in heads:
        view = head.render if head.render is not None else next(iter(render(source, head, head.camera)))
        images.append(view.image.cpu())
    return torch.cat(images)


@as_many_threads_as_pay()
def render_views(
    source: Generator | HasGenerator,
    heads: Sequence[Inversion],
    cameras: Camera | None = None,
    *,
    side: int = 0,
    chunk: int = 0,
    on_progress: Progress | None = None,
    on_image: Callable[[Tensor], None] | None = None,
) -> Views:
    """Every head from every camera, head after head; each view goes to main memory as soon as it is there.

    Args:
        source: a generator, or a pipeline.
        heads: one head each.
        cameras: default: each head from its own camera.
        side: pictures of smaller models are enlarged to it (bicubic), in pixels; depth, normals and opacity are not.
        chunk: cameras rendered at a time; 0: as many as free memory holds (see `rendering.render`).
        on_progress: called with ("render", views done, views in all) after each.
        on_image: called before that with the picture, [1,3,R,R].

    Raises:
        InputError: no heads, or no cameras.
        WeightsError: a head was made with another generator.
    """
    if not heads:
        raise InputError("There is no head to render.")
    seen = [head.camera if cameras is None else cameras for head in heads]
    total = sum(len(views) for views in seen)
    images: Tensor | None = None
    depths: list[Tensor] = []
    opacities: list[Tensor] = []
    for head, views in zip(heads, seen, strict=True):
        for view in render(source, head, views, chunk=chunk):
            picture = enlarge(view.image, side)
            if images is None:
                images = torch.empty((total, *picture.shape[1:]), memory_format=torch.channels_last)
            images[len(depths)] = picture[0].cpu()
            depths.append(view.image_depth.cpu())
            opacities.append(view.opacity.cpu())
            if on_image is not None:
                on_image(view.image)
            if on_progress is not None:
                on_progress("render", len(depths), total)
    if images is None:
        raise InputError("There is no camera to render from.")
    depth, opacity = torch.cat(depths), torch.cat(opacities)
    return Views(
        image=images.clamp_(-1, 1),
        depth=depth_picture(depth, opacity),
        normals=depth_normals(depth, Camera.cat(seen), opacity),
        opacity=opacity,
    )
