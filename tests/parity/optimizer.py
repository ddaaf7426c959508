"""Ranger: the path of a small linear layer's weights."""

from __future__ import annotations

import torch

from eg3d_kernels import Implementation
from threedpsp.training.ranger import build_ranger

from .case import Case
from .measure import Measured, compare

# An independent implementation reached 3e-9, ours 1.3e-8. Both are below float32's own rounding (6e-8), which a matrix
# product in another order costs; a wrong eps costs 1e-4.
TRAJECTORY = 3e-7
INPUTS = ("x", "y", "w0", "b0")
NUMBER = r"([\d.]+(?:[eE][+-]?\d+)?)"


def run(case: Case, implementation: Implementation) -> list[Measured]:
    """Weight and bias after every step of mean((x w^T + b - y)^2)."""

    def default(name: str, fallback: str, value: str = NUMBER) -> str:
        return case.metadata.get(name) or case.within("defaults", rf"\b{name} {value}", fallback)

    weight, bias = (case.tensor(name).clone().requires_grad_() for name in ("w0", "b0"))
    x, y = case.tensor("x"), case.tensor("y")
    first, second = default("betas", ".95,.999", r"\(([^)]*)\)").strip("()[] ").split(",")
    optimizer = build_ranger(
        [weight, bias],
        lr=case.number("lr", 1e-3),
        betas=(float(first), float(second)),
        eps=float(default("eps", "1e-5")),
        weight_decay=float(default("weight_decay", "0")),
        alpha=float(default("alpha", ".5")),
        k=int(default("k", "6")),
        n_sma_threshold=int(default("N_sma_threshh?old", "5")),
        use_gc=default("use_gc", "True", r"(\w+)") == "True",
        gc_conv_only=default("gc_conv_only", "False", r"(\w+)") == "True",
    )
    path = []
    for _ in range(case.integer("steps", len(case.tensor("trajectory")))):
        optimizer.zero_grad()
        (x @ weight.T + bias - y).square().mean().backward()
        optimizer.step()
        path.append(torch.cat([weight.detach().flatten(), bias.detach()]).clone())
    return compare(case, {"trajectory": torch.stack(path)}, TRAJECTORY)
