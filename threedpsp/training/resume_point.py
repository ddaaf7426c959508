"""A joint training's state, small enough to keep: networks and latents in fp16, without optimizers and averages.

    python -m threedpsp.training.resume_point pack --run runs/tiny --output resume.safetensors
    python -m threedpsp.training.resume_point unpack --resume-point resume.safetensors --run runs/tiny

Go on with `python -m threedpsp.training.joint ... --restart-optimizers`; learning rates then warm up again.
"""

from __future__ import annotations

from pathlib import Path

import torch
import tyro
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import InputError
from ..weights.torch_file import read_torch

NETWORKS = ("generator", "encoder")


def pack(run: Path, output: Path) -> None:
    """Write the resume point of a run (its latest checkpoints, one of each worker)."""
    paths = sorted(run.glob("checkpoint_*_of_*.pt"))
    if not paths:
        raise InputError(f"No checkpoint in {run}.")
    states = [read_torch(path) for path in paths]
    tensors: dict[str, Tensor] = {"latent_avg": states[0]["latent_avg"]}
    for network in NETWORKS:
        tensors |= {f"{network}/{name}": t for name, t in states[0][network].items()}
    tensors |= {f"latents/{rank}": state["latents"] for rank, state in enumerate(states)}
    half = {name: (t.half() if t.is_floating_point() else t).contiguous() for name, t in tensors.items()}
    save_file(half, output, {"kind": "joint training", "step": str(states[0]["step"])})


def unpack(resume_point: Path, run: Path) -> None:
    """Make checkpoints that a run can go on from."""
    with safe_open(resume_point, "pt") as file:
        step = int((file.metadata() or {})["step"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    state: dict[str, object] = {"step": step, "latent_avg": tensors["latent_avg"]}
    for network in NETWORKS:
        weights = {n.split("/", 1)[1]: t for n, t in tensors.items() if n.startswith(f"{network}/")}
        state |= {network: weights, f"{network}_ema": weights}
    ranks = [name for name in sorted(tensors) if name.startswith("latents/")]
    run.mkdir(parents=True, exist_ok=True)
    for rank, name in enumerate(ranks):
        torch.save(state | {"latents": tensors[name]}, run / f"checkpoint_{rank}_of_{len(ranks)}.pt")


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"pack": pack, "unpack": unpack}, description=__doc__)
