"""Ranger (RAdam, lookahead, centred gradients), the optimizer that pSp, TriPlaneNet and 3DpSp are trained with."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ..errors import MissingDependencyError


def build_ranger(
    parameters: Iterable[torch.nn.Parameter | torch.Tensor],
    lr: float = 1e-4,
    *,
    betas: tuple[float, float] = (0.95, 0.999),
    eps: float = 1e-5,
    weight_decay: float = 0.0,
    alpha: float = 0.5,
    k: int = 6,
    n_sma_threshold: int = 5,
    use_gc: bool = True,
    gc_conv_only: bool = False,
) -> torch.optim.Optimizer:
    """The published optimizer: pytorch-optimizer's, with plain steps while the second moment is not yet trusted.

    Args:
        parameters: what to train.
        lr: learning rate.
        betas: decay of the first and second moment.
        eps: added to the root of the second moment.
        weight_decay: each step shrinks the parameters by lr times this.
        alpha: how far the slow weights move to the fast ones, every `k` steps.
        k: steps between these moves.
        n_sma_threshold: length of the second moment's average from which it is trusted.
        use_gc: subtract from a gradient its mean over all axes but the first.
        gc_conv_only: only from those of convolutions.

    Raises:
        MissingDependencyError: pytorch-optimizer is not installed.
    """
    try:
        from pytorch_optimizer import Ranger
    except ImportError as error:
        raise MissingDependencyError(
            "Training with Ranger needs pytorch-optimizer. Install it with: pip install pytorch-optimizer"
        ) from error
    return Ranger(
        list(parameters),
        lr=lr,
        betas=betas,
        eps=eps,
        weight_decay=weight_decay,
        alpha=alpha,
        k=k,
        n_sma_threshold=n_sma_threshold,
        use_gc=use_gc,
        gc_conv_only=gc_conv_only,
        degenerated_to_sgd=True,
    )
