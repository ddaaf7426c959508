"""Which faces each step learns from. Everything follows from the seed and the step, so resuming needs no state."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch.utils.data import DataLoader

from ...device import random_generator
from ...errors import InputError
from .photos import Batch, CheckedPhotos, Fault
from .rendered import RenderedFaces, derived_seed


@dataclass(frozen=True)
class Share:
    """A process's part of every batch: `batch` faces of a step over all processes, this one's rank, how many parts."""

    batch: int
    processes: int = 1
    rank: int = 0
    accumulation: int = 1

    def __post_init__(self) -> None:
        if self.batch % (self.processes * self.accumulation):
            raise InputError(
                f"--batch {self.batch} (over all processes) cannot be divided among {self.processes} processes in "
                f"{self.accumulation} parts each. Choose a multiple of {self.processes * self.accumulation}."
            )

    def positions(self, step: int, part: int) -> range:
        """The positions, in the endless row of all faces, of a part of a step."""
        size = self.batch // (self.processes * self.accumulation)
        first = step * self.batch + (part * self.processes + self.rank) * size
        return range(first, first + size)


class FaceStream:
    """Photos in an order shuffled anew for each pass, and rendered faces between them as their share demands."""

    def __init__(self, photos: CheckedPhotos | None, rendered: RenderedFaces, rendered_share: float, seed: int) -> None:
        """photos: None means that all faces are rendered."""
        self.photos = photos
        self.rendered = rendered
        self.rendered_share = 1.0 if photos is None else rendered_share
        self.seed = seed

    def split(self, positions: Sequence[int]) -> tuple[list[int], list[int]]:
        """Positions -> numbers of photos, and numbers of rendered faces."""
        photos, faces = [], []
        for position in positions:
            before = math.floor(position * self.rendered_share + 1e-9)
            if math.floor((position + 1) * self.rendered_share + 1e-9) > before:
                faces.append(before)
            else:
                photos.append(self._photo(position - before))
        return photos, faces

    def _photo(self, draw: int) -> int:
        count = len(self.photos or ())
        return _order(self.seed, draw // count, count)[draw % count]

    def parts(self, share: Share, first_step: int, workers: int = 0) -> Iterator[Batch | Fault]:
        """The parts of this process, from a step on, for ever.

        Args:
            share: which they are.
            first_step: 0, or where a stopped run goes on.
            workers: processes that load photos ahead.
        """
        plan = (
            self.split(share.positions(step, part))
            for step in itertools.count(first_step)
            for part in range(share.accumulation)
        )
        for_photos, for_faces = itertools.tee(plan)
        loaded = self._loaded((photos for photos, _ in for_photos), workers)
        for items, (_, faces) in zip(loaded, for_faces, strict=False):
            fault = next((item for item in items if isinstance(item, Fault)), None)
            batches = [item for item in items if isinstance(item, Batch)]
            if fault is not None:
                yield fault
            else:
                device = self.rendered.generator.device
                on_device = [Batch.cat(batches).to(device)] if batches else []
                yield Batch.cat([*on_device, *([self.rendered.batch(faces)] if faces else [])])

    def _loaded(self, numbers: Iterator[list[int]], workers: int) -> Iterator[list[Batch | Fault]]:
        if self.photos is None:
            return ([] for _ in numbers)
        if workers == 0:
            photos = self.photos
            return ([photos[i] for i in part] for part in numbers)
        loader: DataLoader[Any] = DataLoader(
            self.photos,
            batch_sampler=_Plan(numbers),
            num_workers=workers,
            collate_fn=list,
        )
        return iter(loader)


class _Plan:
    """An iterator as something that can be iterated over, for the loader."""

    def __init__(self, numbers: Iterator[list[int]]) -> None:
        self.numbers = numbers

    def __iter__(self) -> Iterator[list[int]]:
        return self.numbers


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> list[int]:
    """The order of the photos in one pass."""
    random = random_generator(derived_seed(seed, "order", epoch))
    return torch.randperm(count, generator=random).tolist()


def check_set(photos: CheckedPhotos, batch: int, where: object) -> None:
    """Refuse a set that is empty or smaller than a batch.

    Raises:
        InputError: it is; says what to do.
    """
    if len(photos) == 0:
        raise InputError(f"{where} holds no prepared photo. Prepare some with 'threedpsp prepare', or leave it out.")
    if len(photos) < batch:
        count = "one photo" if len(photos) == 1 else f"{len(photos)} photos"
        raise InputError(
            f"The batch of {batch} is larger than the training set: {where} holds {count}. Choose --batch "
            f"{len(photos)} or less, add photos, or mix in rendered faces (--rendered-share)."
        )
