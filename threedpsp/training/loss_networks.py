"""The networks in the training's losses as one file, so that a machine without their packages can train.

python -m threedpsp.training.loss_networks --output loss_networks.safetensors
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
import tyro
from safetensors.torch import load_file
from torch import Tensor

from ..errors import WeightsError
from ..metrics.identity import DlibIdentity
from ..metrics.perceptual import STLPIPS, PerceptualDistance
from ..metrics.trunks import alexnet
from ..weights.write import write_safetensors

log = logging.getLogger(__name__)

PERCEPTUAL, IDENTITY = "perceptual/", "identity/"


def load_loss_networks(path: Path | None, device: torch.device) -> tuple[PerceptualDistance, DlibIdentity]:
    """ST-LPIPS (AlexNet) and dlib's identity network, frozen.

    Args:
        path: what `main` wrote; None: they are read from the installed packages.
        device: where they go.

    Raises:
        MissingDependencyError: no path, and a package is not installed.
        WeightsError: the file does not hold them.
    """
    if path is None:
        return STLPIPS("alex").to(device), DlibIdentity().to(device)
    state = {name: tensor.float() for name, tensor in load_file(path).items()}
    try:
        perceptual = _part(state, PERCEPTUAL)
        heads = [perceptual[f"head_{index}"] for index in range(5)]
        distance = PerceptualDistance(alexnet(shift_tolerant=True), heads)
        distance.load_state_dict(perceptual)
        identity = DlibIdentity(state=_part(state, IDENTITY))
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"{path} does not hold the networks of the losses ({str(error)[:200]}).") from error
    return distance.requires_grad_(False).train(False).to(device), identity.to(device)


def main(output: Path) -> None:
    """Write the networks in fp16, 16 MB.

    Args:
        output: .safetensors to write.
    """
    tensors: dict[str, Tensor] = {PERCEPTUAL + name: t for name, t in STLPIPS("alex").state_dict().items()}
    tensors |= {IDENTITY + name: t for name, t in DlibIdentity().state_dict().items()}
    write_safetensors(output, {name: tensor.half() for name, tensor in tensors.items()}, {"kind": "loss networks"})
    log.info("%s: %.1f MB", output, output.stat().st_size / 1e6)


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tyro.cli(main, description=__doc__)
