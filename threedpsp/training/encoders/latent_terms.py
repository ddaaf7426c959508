"""e4e's terms on ws: how far rows are from the first, and a discriminator that knows the generator's own w."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ...device import random_generator
from ...eg3d.generator import Generator
from ...encoder.e4e import delta_norm
from .loss_weights import LossWeights
from .rendered import derived_seed

LAYERS = 4
R1_WEIGHT, R1_EVERY = 10.0, 16
POOL_SIZE = 50
LEARNING_RATE = 2e-5


class LatentDiscriminator(nn.Module):
    """w [N,w_dim] -> [N,1]: high for the generator's own."""

    def __init__(self, w_dim: int) -> None:
        super().__init__()
        hidden: list[nn.Module] = []
        for _ in range(LAYERS - 1):
            hidden += [nn.Linear(w_dim, w_dim), nn.LeakyReLU(0.2)]
        self.mlp = nn.Sequential(*hidden, nn.Linear(w_dim, 1))

    def forward(self, w: Float[Tensor, "n w"]) -> Float[Tensor, "n 1"]:
        """Logits."""
        return self.mlp(w)


@dataclass
class LatentPool:
    """The last w that the encoder made; half of what is asked for comes from earlier steps.

    entries: [pool size, w_dim]. count: how many of them are filled.
    """

    entries: Tensor
    count: int = 0

    def exchange(self, ws: Float[Tensor, "n w"], random: torch.Generator) -> Float[Tensor, "n w"]:
        """As many w as come in: each is kept, and given back itself or in its place an older one."""
        given = []
        for w in ws.detach():
            if self.count < len(self.entries):
                self.entries[self.count] = w
                self.count += 1
                given.append(w)
            elif torch.rand((), generator=random) < 0.5:
                place = int(torch.randint(len(self.entries), (), generator=random))
                given.append(self.entries[place].clone())
                self.entries[place] = w
            else:
                given.append(w)
        return torch.stack(given)


class LatentCritic:
    """The discriminator with its optimizer and pool."""

    def __init__(self, generator: Generator, seed: int) -> None:
        """Random weights that depend on the seed alone."""
        self.generator = generator
        self.seed = seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = LatentDiscriminator(generator.config.w_dim).to(generator.device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE)
        self.pool = LatentPool(torch.zeros(POOL_SIZE, generator.config.w_dim, device=generator.device))

    def terms(self, ws: Tensor, stage: int, weights: LossWeights) -> tuple[Tensor, dict[str, Tensor]]:
        """What the encoder pays: the weighted sum, and each term; only rows that are open at this stage are judged."""
        terms = {"delta": delta_norm(ws)}
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)
        terms["latent"] = F.softplus(-self.network(ws[:, : stage + 1].flatten(0, 1))).mean()
        for parameter in self.network.parameters():
            parameter.requires_grad_(True)
        return weights.delta * terms["delta"] + weights.discriminator * terms["latent"], terms

    def backward(self, ws: Tensor, stage: int, step: int, part: int, scale: float) -> dict[str, Tensor]:
        """Add the gradients of the discriminator's own loss for a part of a batch.

        Args:
            ws: [N,L,w_dim], the encoder's.
            stage: rows that may differ.
            step: of the training; decides the random numbers and whether R1 is taken.
            part: number of this part of the batch, over all processes.
            scale: of the gradients.
        """
        random = random_generator(derived_seed(self.seed, f"critic {step}", part))
        rows = ws[:, : stage + 1].flatten(0, 1)
        z = torch.randn(len(rows), self.generator.config.z_dim, generator=random).to(rows.device)
        with torch.no_grad():
            real = self.generator.mapping(z, self.generator.frontal_camera)[:, 0]
        fake = self.pool.exchange(rows, random)
        loss = F.softplus(-self.network(real)).mean() + F.softplus(self.network(fake)).mean()
        total = loss
        if step % R1_EVERY == 0:
            real = real.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.network(real).sum(), real, create_graph=True)
            total = total + R1_WEIGHT / 2 * R1_EVERY * gradient.square().sum(1).mean()
        (total * scale).backward()
        return {"critic": loss.detach()}
