"""The networks of one pipeline in ComfyUI's memory management."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from ..threedpsp import Pipeline


def compute_device(*, on_cpu: bool) -> torch.device:
    """Where networks will compute: ComfyUI's device, or the CPU."""
    from comfy import model_management

    return torch.device("cpu") if on_cpu else model_management.get_torch_device()


class LoadedModel:
    """A pipeline whose networks ComfyUI moves to its device when a node needs them, and away when it needs the room."""

    def __init__(self, pipeline: Pipeline, device: torch.device) -> None:
        from comfy import model_management
        from comfy.model_patcher import ModelPatcher

        networks = nn.Module()
        networks.add_module("generator", pipeline.generator)
        if isinstance(pipeline.encoder, nn.Module):
            networks.add_module("encoder", pipeline.encoder)
        self._pipeline = pipeline
        self._networks = networks
        self._device = device
        size = model_management.module_size(networks)
        self._patcher = ModelPatcher(networks, load_device=device, offload_device=torch.device("cpu"), size=size)

    def ready(self) -> Pipeline:
        """The pipeline, with its networks on the device."""
        from comfy import model_management

        model_management.load_models_gpu([self._patcher])
        self._networks.to(self._device)  # buffers too, which ComfyUI counts by module
        return self._pipeline

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline wherever its networks are: for what needs no computing."""
        return self._pipeline
