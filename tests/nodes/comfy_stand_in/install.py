"""Puts the stand-ins where `import comfy_api` and the like find them, and loads the pack as ComfyUI does."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from . import api

PACK = Path(__file__).resolve().parents[3]
MANGLED = PACK.as_posix().replace(".", "_x_") + "/custom_nodes/comfyui 3dpsp"
LANDMARK_NODE = "MediaPipeFaceLandmarker"  # of newer ComfyUIs
_REPLACED = ("comfy", "comfy_api", "folder_paths", "nodes")


def _module(name: str, **contents: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    return module


class Folders:
    """`folder_paths` with everything under one folder."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.models_dir = str(base / "models")
        self.folders: dict[str, list[str]] = {}

    def module(self) -> ModuleType:
        return _module(
            "folder_paths",
            models_dir=self.models_dir,
            add_model_folder_path=self.add,
            get_folder_paths=lambda name: list(self.folders[name]),
            get_input_directory=lambda: str(self.base / "input"),
            get_output_directory=lambda: str(self.base / "output"),
            get_save_image_path=self.save_path,
        )

    def add(self, name: str, path: str) -> None:
        known = self.folders.setdefault(name, [])
        if path not in known:
            known.append(path)

    def save_path(self, prefix: str, folder: str) -> tuple[str, str, int, str, str]:
        subfolder, _, name = prefix.rpartition("/")
        (Path(folder) / subfolder).mkdir(parents=True, exist_ok=True)
        return str(Path(folder) / subfolder), name, 1, subfolder, prefix


class ProgressBar:
    """`comfy.utils.ProgressBar`: keeps what it was told."""

    def __init__(self, total: int) -> None:
        self.total, self.value = total, 0

    def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
        self.value = value


class ModelPatcher:
    """`comfy.model_patcher.ModelPatcher`: keeps the model."""

    def __init__(self, model: Any, load_device: Any, offload_device: Any, size: int = 0) -> None:
        self.model, self.load_device, self.offload_device, self.size = model, load_device, offload_device, size


def _stand_ins(base: Path, newer: bool, core_nodes: Collection[str]) -> dict[str, ModuleType]:
    types = {
        "Image": "IMAGE",
        "Mask": "MASK",
        "Int": "INT",
        "Float": "FLOAT",
        "String": "STRING",
        "Boolean": "BOOLEAN",
        "Combo": "COMBO",
    }
    io = _module(
        "io",
        **{name: api.DataType(type_name) for name, type_name in types.items()},
        Custom=api.DataType,
        ComfyNode=api.ComfyNode,
        NodeOutput=api.NodeOutput,
        NumberDisplay=api.NumberDisplay,
        Schema=api.NewerSchema if newer else api.Schema,
    )
    management = _module(
        "comfy.model_management",
        get_torch_device=lambda: _torch().device("cpu"),
        module_size=lambda module: 0,
        load_models_gpu=lambda models: None,
        throw_exception_if_processing_interrupted=lambda: None,
    )
    utils = _module("comfy.utils", ProgressBar=ProgressBar)
    patcher = _module("comfy.model_patcher", ModelPatcher=ModelPatcher)
    return {
        "comfy_api": _module("comfy_api"),
        "comfy_api.latest": _module("comfy_api.latest", io=io, ui=api, ComfyExtension=api.ComfyExtension),
        "comfy": _module("comfy", utils=utils, model_management=management, model_patcher=patcher),
        "comfy.utils": utils,
        "comfy.model_management": management,
        "comfy.model_patcher": patcher,
        "folder_paths": Folders(base).module(),
        "nodes": _module("nodes", NODE_CLASS_MAPPINGS=dict.fromkeys(core_nodes)),
    }


def _torch() -> ModuleType:
    import torch

    return torch


def _ours(name: str) -> bool:
    return name.partition(".")[0] in _REPLACED or name.startswith(MANGLED)


@contextlib.contextmanager
def loaded_pack(base: Path, *, newer: bool = True, core_nodes: Collection[str] = (LANDMARK_NODE,)) -> Iterator[Any]:
    """The pack under a name like ComfyUI's, among stand-ins; `sys.modules` is as before afterwards.

    Args:
        base: ComfyUI's base folder, with input, output and models.
        newer: a ComfyUI whose schemas know search aliases.
        core_nodes: ids of the nodes that this ComfyUI has of its own.
    """
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _ours(name)}
    sys.modules.update(_stand_ins(base, newer, core_nodes))
    try:
        spec = importlib.util.spec_from_file_location(
            MANGLED, PACK / "__init__.py", submodule_search_locations=[str(PACK)]
        )
        if spec is None or spec.loader is None:
            raise ImportError(f"no pack at {PACK}")
        pack = sys.modules[MANGLED] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(pack)
        yield pack
    finally:
        for name in [name for name in sys.modules if _ours(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def node_classes(pack: Any) -> list[Any]:
    """The pack's nodes, asked for as ComfyUI does."""

    async def ask() -> list[Any]:
        return await (await pack.comfy_entrypoint()).get_node_list()

    return asyncio.run(ask())


def schemas_of(pack: Any) -> dict[str, Any]:
    """The nodes' schemas by id."""
    return {schema.node_id: schema for schema in (node.define_schema() for node in node_classes(pack))}
