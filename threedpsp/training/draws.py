"""Who is in the batch of a step. Everything follows from the seed and the step, so resuming needs no state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..device import derived_seed, random_generator
from ..errors import InputError

LOOPS = (1, 3, 1, 2, 5)
"""How many steps of the ReStyle loop the encoder's half of a batch goes through before new people come, in turn."""


@dataclass(frozen=True)
class Place:
    """Where a step stands in the loops: the number of its group of steps, and the steps of the group before it."""

    group: int
    done: int


def place(step: int) -> Place:
    """The place of a step."""
    turns, left = divmod(step, sum(LOOPS))
    group = turns * len(LOOPS)
    for length in LOOPS:
        if left < length:
            return Place(group, left)
        group, left = group + 1, left - length
    raise AssertionError("unreachable: the lengths sum to the turn")


@dataclass(frozen=True)
class Workers:
    """This worker's rank among `count`, and which of n portraits are its own."""

    rank: int = 0
    count: int = 1

    def share(self, n: int) -> slice:
        """Its part of n.

        Raises:
            InputError: n cannot be divided.
        """
        if n % self.count:
            raise InputError(
                f"{n} portraits a step cannot be divided among {self.count} workers. Choose a batch that is a "
                f"multiple of {self.count}, or another number of workers."
            )
        size = n // self.count
        return slice(self.rank * size, (self.rank + 1) * size)


def draw_people(large: Tensor, n: int, large_share: float, seed: int, purpose: str, number: int) -> Tensor:
    """The indices [n] of people drawn from a set.

    Args:
        large: [N] bool, who has a large photo.
        n: how many.
        large_share: how many of those drawn have one, on average, where there are both kinds.
        seed: of the training.
        purpose: keeps draws for different things apart.
        number: of the step or the group.
    """
    random = random_generator(derived_seed(seed, purpose, number))
    kinds = [kind for kind in (large.nonzero()[:, 0], (~large).nonzero()[:, 0]) if len(kind)]
    wants_large = torch.rand(n, generator=random) < large_share
    picks = torch.randint(0, 2**40, (n,), generator=random)
    chosen = [kinds[0] if one or len(kinds) == 1 else kinds[1] for one in wants_large]
    return torch.stack([kind[pick % len(kind)] for kind, pick in zip(chosen, picks, strict=True)])
