"""Load Model."""

from __future__ import annotations

from .io_types import MODEL, io, node_schema
from .loaded_model import LoadedModel, compute_device
from .model_paths import FOLDERS, full_path, weights_files, weights_folders
from .running import in_core

EMBEDDED = "tiny"
EMBEDDED_ENCODERS = ("tiny-3dpsp", "tiny-psp", "tiny-e4e")
AUTO = "auto"
METHODS = [AUTO, "3dpsp", "psp", "e4e", "triplanenet-v1", "triplanenet-v2", "pti"]


class LoadModel(io.ComfyNode):
    """Generator and encoder, from files or the embedded ones."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Generator, encoder, system, device, precision -> model."""
        files = weights_files()
        where = " and ".join(f"models/{name}" for name in FOLDERS)
        return node_schema(
            "ThreeDpSpLoadModel",
            "3DpSp Load Model",
            "Loads the generator that draws heads and the encoder that turns photos into them. 'tiny' comes with this "
            "pack and is there at once; official EG3D and 3DpSp files are read safely, as data.",
            search_aliases=["eg3d", "3dpsp loader", "psp", "e4e", "triplanenet", "checkpoint"],
            inputs=[
                io.Combo.Input(
                    "generator",
                    options=[EMBEDDED, *files],
                    default=EMBEDDED,
                    tooltip=f"The generator. 'tiny' is embedded. Files (.pkl, .safetensors) are listed from {where}, "
                    "and from the same names in extra_model_paths.yaml.",
                ),
                io.Combo.Input(
                    "encoder",
                    options=[AUTO, *EMBEDDED_ENCODERS, *files],
                    default=AUTO,
                    tooltip="The encoder that belongs to the generator (.pt, .pth, .safetensors). 'auto' takes the one "
                    "that goes with the generator or with the method. 'tiny-...' are equally trained ones to compare.",
                ),
                io.Combo.Input(
                    "method",
                    options=METHODS,
                    default=AUTO,
                    tooltip="The system that turns photos into heads. 'auto': whatever the encoder's file holds. 'pti' "
                    "optimises for each photo and needs no encoder.",
                ),
                io.Combo.Input(
                    "device",
                    options=[AUTO, "cpu"],
                    default=AUTO,
                    tooltip="'auto' is ComfyUI's device. 'cpu' leaves the graphics card to other models.",
                ),
                io.Combo.Input(
                    "precision",
                    options=[AUTO, "float32", "bfloat16", "float16"],
                    default=AUTO,
                    optional=True,
                    tooltip="What the networks compute with. 'auto' is fast and close enough; Check Setup tells which "
                    "type that is. 'float32' is exact.",
                ),
            ],
            outputs=[MODEL.Output("model", display_name="model", tooltip="Generator and encoder, ready for Encode.")],
        )

    @classmethod
    @in_core
    def execute(cls, generator: str, encoder: str, method: str, device: str, precision: str = AUTO) -> io.NodeOutput:
        """See `threedpsp.load`."""
        from .. import threedpsp

        where = compute_device(on_cpu=device == "cpu")
        pipeline = threedpsp.load(
            _chosen(generator),
            encoder=None if encoder == AUTO else _chosen(encoder),
            method=None if method == AUTO else method,
            device="cpu",
            precision=threedpsp.resolve_precision(precision, where),
            weights_dirs=weights_folders(),
        )
        return io.NodeOutput(LoadedModel(pipeline, where))


def _chosen(name: str) -> str:
    """A widget's choice as `threedpsp.load` takes it."""
    from .. import threedpsp

    if name in (EMBEDDED, *EMBEDDED_ENCODERS):
        return name
    path = full_path(name)
    if path is None:
        folders = "\n".join(f"  {folder}" for folder in weights_folders())
        raise threedpsp.WeightsError(f"There is no weights file '{name}'. Put it into one of these folders:\n{folders}")
    return str(path)
