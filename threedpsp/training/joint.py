"""Trains the tiny generator together with an encoder on portraits, then the descent on planes.

    torchrun --standalone --nproc-per-node 2 -m threedpsp.training.joint --people P.safetensors --output runs/tiny

Several one-thread workers average their gradients (faster on a CPU than one worker with several threads).
Everything needed to go on is in the output folder; the same command resumes.
"""

from __future__ import annotations

import logging
import os

import torch
import torch.distributed as dist
import tyro

from ..allocator import keep_freed_memory
from ..device import available_threads
from .config import JointConfig
from .descent_stage import train_descent
from .trainer import JointTrainer


def main(config: JointConfig) -> None:
    """Train, or go on training, through all stages."""
    keep_freed_memory()
    workers = int(os.environ.get("WORLD_SIZE", "1"))
    room = max(available_threads() // workers, 1)
    torch.set_num_threads(room if workers > 1 else min(torch.get_num_threads(), room))
    if workers > 1:
        dist.init_process_group("gloo")
    config.output.mkdir(parents=True, exist_ok=True)
    JointTrainer(config).run()
    train_descent(config)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    main(tyro.cli(JointConfig, description=__doc__))
