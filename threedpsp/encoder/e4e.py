"""e4e (Encoder4Editing): ws as one w for all rows plus a difference for each row, opened one after another.

Staying near one w keeps ws where the generator edits well. Training starts with w alone (stage 0); stage i lets rows
1..i differ. The network is pSp's; only how its heads are read differs (`EncoderConfig.row_deltas`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from .config import EncoderConfig

DELTA_WEIGHT = 2e-4
"""Published weight of `delta_norm` in the loss."""


@dataclass(frozen=True)
class StageSchedule:
    """When rows may begin to differ, in training steps. Defaults as published."""

    start: int = 20_000
    """Step at which the second row opens; before it all rows are one w."""
    every: int = 2_000
    """Steps between one row and the next."""

    def __post_init__(self) -> None:
        if self.start < 0 or self.every < 1:
            raise InputError(f"Stages start at 0 or later, 1 or more steps apart; got {self.start} and {self.every}.")

    def stage(self, step: int, num_ws: int) -> int:
        """Rows that may differ from the first at a training step: 0 to num_ws - 1."""
        if step < self.start:
            return 0
        return min(1 + (step - self.start) // self.every, num_ws - 1)


def rows_from_deltas(heads: Float[Tensor, "n k w"], num_ws: int) -> Float[Tensor, "n l w"]:
    """The first head's row for all rows, plus the other heads' differences; rows without a head equal the first."""
    first, deltas = heads[:, :1], heads[:, 1:]
    return first + F.pad(deltas, (0, 0, 1, num_ws - heads.shape[1]))


def delta_norm(ws: Float[Tensor, "n l w"]) -> Float[Tensor, ""]:
    """Sum over rows of how far each is from the first (Euclidean), mean over the batch; 0 where all are one w."""
    difference = ws[:, 1:] - ws[:, :1]
    # the root has no gradient at 0, where rows that are not open yet lie
    squared = difference.square().sum(2)
    norm = torch.where(squared > 0, squared.clamp_min(torch.finfo(ws.dtype).tiny).sqrt(), squared)
    return norm.sum(1).mean()


def check_stage(config: EncoderConfig, stage: int) -> int:
    """The stage, if this encoder has it.

    Raises:
        InputError: not an e4e encoder, or no such row.
    """
    if not config.row_deltas:
        raise InputError("Only an e4e encoder has stages (row_deltas); leave stage out.")
    if not 0 <= stage < config.num_ws:
        raise InputError(f"This encoder has stages 0 to {config.num_ws - 1}; got {stage}.")
    return stage
