"""A first likeness: the system's head, brought so close to its photo that it shows the person, in about two seconds.

Today it is the first handful of refining's updates, of planes, ws and camera; the generator's weights stay. Whatever
does it, it stays behind `first_likeness`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Literal, get_args

from torch import Tensor

from ..eg3d.generator import Generator
from ..errors import InputError
from ..types import FaceCrop, Inversion
from .refine import RefineProgress, refine
from .refine_config import HANDFUL, RefineConfig

Likeness = Literal["auto", "instant", "none"]

LARGEST_SIDE = 256
"""Pixels; generators of larger pictures need longer than about two seconds."""


def check_likeness(choice: str) -> None:
    """Refuse other words.

    Raises:
        InputError: another word.
    """
    if choice not in get_args(Likeness):
        raise InputError(f"A first likeness is one of {', '.join(get_args(Likeness))}; got {choice!r}.")


def wants_first_likeness(choice: Likeness, generator: Generator, inversion: Inversion) -> bool:
    """Whether a head gets one: "instant" always, "none" never, "auto" where it costs about two seconds.

    That is with generators of at most 256 pixels, unless the system has tuned the generator to the photo by itself.
    """
    if choice != "auto":
        return choice == "instant"
    return generator.config.img_resolution <= LARGEST_SIDE and not inversion.generator_delta


def first_likeness(
    generator: Generator,
    inversion: Inversion,
    crop: FaceCrop,
    *,
    seed: int = 0,
    on_step: Callable[[int, int], None] | None = None,
    on_image: Callable[[Tensor], None] | None = None,
) -> Inversion:
    """The same heads, each brought closer to its own photo by a fixed number of updates; no clock has a say.

    Args:
        generator: the one that the heads were made with.
        inversion: of one photo or several.
        crop: those photos.
        seed: which novel views are looked at.
        on_step: called with (updates done, updates in all) of all photos.
        on_image: called with the picture so far, [1,3,R,R].

    Returns:
        One Inversion of as many heads, with `plane_offset`, and `info["likeness"]`: updates of each photo, seconds of
        all, notes.
    """
    started = time.perf_counter()
    config = RefineConfig(steps=HANDFUL, seed=seed, tune_generator=False)
    total = HANDFUL * len(inversion)
    crop = dataclasses.replace(crop, camera=crop.camera.expand(len(crop)))
    heads = []
    for index, head in enumerate(inversion.split()):

        def report(progress: RefineProgress, before: int = HANDFUL * index) -> None:
            if on_image is not None:
                on_image(progress.image)
            if on_step is not None:
                on_step(before + progress.step, total)

        heads.append(refine(generator, head, crop[index], config, report))
    notes = dict.fromkeys(note for head in heads for note in head.info["refine"]["notes"])
    updates = min((head.info["refine"]["steps"] for head in heads), default=0)
    facts = {"updates": updates, "seconds": round(time.perf_counter() - started, 2), "notes": list(notes)}
    return dataclasses.replace(Inversion.cat(heads), info={**inversion.info, "likeness": facts})
