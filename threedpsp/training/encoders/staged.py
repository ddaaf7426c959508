"""Backward in stages: each view is rendered, judged and let go before the next, so that only one is in memory.

The gradients of all views meet at the planes and ws; from there the backbone and the encoder are gone through once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from ...eg3d.generator import Generator
from ...encoder.inversion import resize_photo
from ...types import TriPlanes
from .comparison import Terms, View


@dataclasses.dataclass(frozen=True)
class Judged:
    """What came of a step's views.

    images: each view's render at the side of comparison, without gradients. loss: their weighted sum. terms: each.
    """

    images: list[Tensor]
    loss: Tensor
    terms: Terms


def judge(generator: Generator, planes: TriPlanes, ws: Tensor, views: Sequence[View], side: int) -> Judged:
    """All views, without gradients."""
    with torch.no_grad():
        images, losses, terms = [], [], {}
        for view in views:
            image = resize_photo(generator.render(planes, ws, view.camera).image, side)
            loss, some = view.compare(image)
            images.append(image)
            losses.append(loss)
            terms.update(some)
        return Judged(images, torch.stack(losses).sum(), terms)


def judge_and_backward(
    generator: Generator,
    planes: TriPlanes,
    ws: Tensor,
    views: Sequence[View],
    side: int,
    scale: float,
    extra: Tensor | None = None,
    render_side: int | None = None,
) -> Judged:
    """All views, one after another, and the gradients of their sum in the leaves behind planes and ws.

    Args:
        generator: frozen.
        planes: with the graph of what made them.
        ws: [N,L,w_dim], with theirs.
        views: what is compared.
        side: pixels a side at which it is.
        scale: of all gradients.
        extra: a scalar to add to the sum, with its graph.
        render_side: rays a side; None: the generator's own.
    """
    roots = [t for t in (planes.features, planes.background, ws) if t is not None and t.requires_grad]
    leaves = {id(t): t.detach().requires_grad_(t.requires_grad) for t in (planes.features, planes.background, ws)
              if t is not None}  # fmt: skip
    background = None if planes.background is None else leaves[id(planes.background)]
    shown = dataclasses.replace(planes, features=leaves[id(planes.features)], background=background)
    images, losses = [], []
    terms: Terms = {}
    for view in views:
        render = generator.render(shown, leaves[id(ws)], view.camera, neural_rendering_resolution=render_side)
        image = resize_photo(render.image, side)
        loss, some = view.compare(image)
        (loss * scale).backward()
        images.append(image.detach())
        losses.append(loss.detach())
        terms.update({name: value.detach() for name, value in some.items()})
        del render, image, loss, some
    gradients: list[Tensor | None] = [leaves[id(t)].grad for t in roots]
    roots = [t for t, g in zip(roots, gradients, strict=True) if g is not None]
    gradients = [g for g in gradients if g is not None]
    total = torch.stack(losses).sum()
    if extra is not None:
        roots.append(extra * scale)
        gradients.append(None)
        total = total + extra.detach()
    if roots:
        torch.autograd.backward(roots, gradients)
    return Judged(images, total, terms)
