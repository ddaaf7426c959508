"""The networks of one pipeline in ComfyUI's memory management."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from ..threedpsp import Pipeline


class LoadedModel:
    """A pipeline whose networks ComfyUI moves to its device when a node needs them, and away when it needs the room."""

    def __init__(self, pipeline: Pipeline, *, on_cpu: bool = False) -> None:
        import torch
        from comfy import model_management
        from comfy.model_patcher import ModelPatcher

        cpu = torch.device("cpu")
        networks = nn.Module()
        networks.add_module("generator", pipeline.generator)
        if isinstance(pipeline.encoder, nn.Module):
            networks.add_module("encoder", pipeline.encoder)
        self._pipeline = pipeline
        self._networks = networks
        self._device = cpu if on_cpu else model_management.get_torch_device()
        self._patcher = ModelPatcher(
            networks, load_device=self._device, offload_device=cpu, size=model_management.module_size(networks)
        )

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
