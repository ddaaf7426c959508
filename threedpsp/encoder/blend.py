"""Blending heads in W+: two people, or several photos of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from ..errors import InputError, WeightsError
from ..types import Inversion, WPlus

BlendPart = Literal["everything", "shape", "colours"]


def blend(a: Inversion, b: Inversion, amount: float, *, what: BlendPart = "everything") -> Inversion:
    """A head between two: (1 - amount) a + amount b, style vector by style vector.

    Args:
        a: one head; the result keeps its camera.
        b: another of the same generator.
        amount: 0 = a, 1 = b.
        what: all style vectors, together with what tuning added to the planes and the generator's weights; the coarser
            half (shape), or the finer half (colours). For a half, what tuning added stays a's.

    Raises:
        InputError: not one head each, or the amount is not within 0..1.
        WeightsError: they belong to different generators.
    """
    if len(a) != 1 or len(b) != 1:
        raise InputError(f"blend takes two single heads; got {len(a)} and {len(b)}.")
    if not 0 <= amount <= 1:
        raise InputError(f"The amount of a blend lies between 0 and 1; got {amount}.")
    if what not in ("everything", "shape", "colours"):
        raise InputError(f"A blend is of 'everything', 'shape' or 'colours'; got {what!r}.")
    _same_generator([a, b])
    rows = a.latent.ws.shape[1]
    share = torch.zeros(1, rows, 1)
    chosen = {"everything": slice(None), "shape": slice(0, rows // 2), "colours": slice(rows // 2, None)}[what]
    share[:, chosen] = amount
    ws = torch.lerp(a.latent.ws, b.latent.ws.to(a.latent.ws), share.to(a.latent.ws))
    mixed = dataclasses.replace(
        a,
        latent=WPlus(ws, a.latent.generator),
        render=None,
        steps=(),
        info={"blend": {"amount": amount, "what": what}},
    )
    if what != "everything":
        return mixed
    weights = [1 - amount, amount]
    return dataclasses.replace(
        mixed,
        plane_offset=_mean([a.plane_offset, b.plane_offset], weights),
        generator_delta=_mean_delta([a.generator_delta, b.generator_delta], weights),
    )


def one_person(heads: Sequence[Inversion]) -> Inversion:
    """Several photos' heads of one person as one: the mean of their latents, seen by the first photo's camera.

    Raises:
        InputError: no heads, or one that is not single.
        WeightsError: they belong to different generators.
    """
    if not heads or any(len(head) != 1 for head in heads):
        raise InputError("one_person takes single heads, at least one.")
    _same_generator(heads)
    weights = [1 / len(heads)] * len(heads)
    first = heads[0]
    ws = torch.stack([head.latent.ws.to(first.latent.ws) for head in heads]).mean(0)
    return dataclasses.replace(
        first,
        latent=WPlus(ws, first.latent.generator),
        render=None,
        steps=(),
        plane_offset=_mean([head.plane_offset for head in heads], weights),
        generator_delta=_mean_delta([head.generator_delta for head in heads], weights),
        info={**first.info, "photos": len(heads)},
    )


def _same_generator(heads: Sequence[Inversion]) -> None:
    names = {head.latent.generator for head in heads}
    if len(names) > 1:
        raise WeightsError(
            f"These heads belong to different generators ({', '.join(sorted(names))}). Blend heads of one model."
        )


def _mean(parts: Sequence[Tensor | None], weights: Sequence[float]) -> Tensor | None:
    """The weighted sum; what is missing counts as zero. None: nothing there."""
    present = [(part, weight) for part, weight in zip(parts, weights, strict=True) if part is not None]
    if not present:
        return None
    first = present[0][0]
    return torch.stack([part.to(first) * weight for part, weight in present]).sum(0)


def _mean_delta(parts: Sequence[Mapping[str, Tensor] | None], weights: Sequence[float]) -> dict[str, Tensor] | None:
    names = dict.fromkeys(name for part in parts if part for name in part)
    if not names:
        return None
    sums = {name: _mean([None if part is None else part.get(name) for part in parts], weights) for name in names}
    return {name: value for name, value in sums.items() if value is not None}
