"""The running mean of a network's weights."""

from __future__ import annotations

import copy

import torch

from .networks import Trained


class Average:
    """A copy of the network whose weights follow slowly; without decay it is the network itself."""

    def __init__(self, network: Trained, decay: float) -> None:
        """decay: of the mean, reached gradually; 0: no mean is kept."""
        self.live = network
        self.decay = decay
        self.network = network if decay == 0 else copy.deepcopy(network).requires_grad_(False).train(False)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After optimizer step number `step` (from 1 on): parameters follow, buffers are copied."""
        if self.network is self.live:
            return
        decay = min(self.decay, step / (10 + step))
        own, new = ([p.detach() for p in n.parameters()] for n in (self.network, self.live))
        torch._foreach_lerp_(own, new, 1 - decay)
        for mine, theirs in zip(self.network.buffers(), self.live.buffers(), strict=True):
            mine.copy_(theirs)

    def measured(self) -> Trained:
        """The network that is validated and published, in evaluation mode."""
        return self.network.train(False)
