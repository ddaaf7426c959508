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

from ...device import derived_seed, random_generator
from ...errors import InputError
from .augmented import AugmentedPhotos, Key
from .photos import Batch, CheckedPhotos, Fault
from .rendered import RenderedFaces


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

    def __init__(
        self,
        photos: CheckedPhotos | None,
        rendered: RenderedFaces,
        rendered_share: float,
        seed: int,
        augment: bool = False,
    ) -> None:
        """photos: None means that all faces are rendered. augment: each photo looks otherwise each time."""
        self.photos = photos
        self.rendered = rendered
        self.rendered_share = 1.0 if photos is None else rendered_share
        self.seed = seed
        self.augment = augment

    def split(self, positions: Sequence[int]) -> tuple[list[int], list[int]]:
        """Positions -> numbers of photos, and numbers of rendered faces."""
        draws, faces = self._draws(positions)
        return [self._photo(draw) for draw in draws], faces

    def _draws(self, positions: Sequence[int]) -> tuple[list[int], list[int]]:
        """Positions -> places in the endless row of photos, and numbers of rendered faces."""
        draws, faces = [], []
        for position in positions:
            before = math.floor(position * self.rendered_share + 1e-9)
            if math.floor((position + 1) * self.rendered_share + 1e-9) > before:
                faces.append(before)
            else:
                draws.append(position - before)
        return draws, faces

    def _photo(self, draw: int) -> int:
        count = len(self.photos or ())
        return _order(self.seed, draw // count, count)[draw % count]

    def _key(self, draw: int) -> Key:
        return self._photo(draw), derived_seed(self.seed, "augment", draw) if self.augment else None

    def parts(self, share: Share, first_step: int, workers: int = 0) -> Iterator[Batch | Fault]:
        """The parts of this process, from a step on, for ever.

        Args:
            share: which they are.
            first_step: 0, or where a stopped run goes on.
            workers: processes that load photos ahead.
        """
        plan = (
            self._draws(share.positions(step, part))
            for step in itertools.count(first_step)
            for part in range(share.accumulation)
        )
        for_photos, for_faces = itertools.tee(plan)
        loaded = self._loaded(([self._key(draw) for draw in draws] for draws, _ in for_photos), workers)
        for items, (_, faces) in zip(loaded, for_faces, strict=False):
            fault = next((item for item in items if isinstance(item, Fault)), None)
            batches = [item for item in items if isinstance(item, Batch)]
            if fault is not None:
                yield fault
            else:
                device = self.rendered.generator.device
                on_device = [Batch.cat(batches).to(device)] if batches else []
                yield Batch.cat([*on_device, *([self.rendered.batch(faces)] if faces else [])])

    def _loaded(self, keys: Iterator[list[Key]], workers: int) -> Iterator[list[Batch | Fault]]:
        if self.photos is None:
            return ([] for _ in keys)
        photos = AugmentedPhotos(self.photos)
        if workers == 0:
            return ([photos[key] for key in part] for part in keys)
        loader: DataLoader[Any] = DataLoader(
            photos,
            batch_sampler=_Plan(keys),
            num_workers=workers,
            collate_fn=list,
        )
        return iter(loader)


class _Plan:
    """An iterator as something that can be iterated over, for the loader."""

    def __init__(self, keys: Iterator[list[Key]]) -> None:
        self.keys = keys

    def __iter__(self) -> Iterator[list[Key]]:
        return self.keys


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
