"""Extract Mesh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .io_types import LATENT, MODEL, io, node_schema, ui
from .loaded_model import LoadedModel
from .progress import NodeProgress
from .running import in_core

if TYPE_CHECKING:
    from ..threedpsp import Inversion


class ExtractMesh(io.ComfyNode):
    """A head as a surface."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Model, latent -> file."""
        return node_schema(
            "ThreeDpSpExtractMesh",
            "3DpSp Extract Mesh",
            "Writes the head's surface with its colours as a 3-D file, and shows it.",
            search_aliases=["marching cubes", "glb", "ply", "3d model", "shape"],
            inputs=[
                MODEL.Input("model", tooltip="The model that the latent was made with."),
                LATENT.Input("latent", tooltip="The head; of several, the first."),
                io.Int.Input(
                    "resolution",
                    default=160,
                    min=32,
                    max=512,
                    step=16,
                    tooltip="Grid points along each side. Twice as many take eight times as long.",
                ),
                io.Float.Input(
                    "level",
                    default=0.0,
                    min=0.0,
                    max=200.0,
                    step=0.5,
                    tooltip="Density at which the surface lies. 0 = what suits the model; higher shrinks the surface.",
                ),
                io.Combo.Input(
                    "format",
                    options=["glb", "ply"],
                    default="glb",
                    tooltip="glb is shown here and opens everywhere; ply is what research tools read.",
                ),
                io.String.Input(
                    "filename_prefix",
                    default="3d/head",
                    tooltip="Where in ComfyUI's output folder, and how the file's name begins.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "model_file",
                    display_name="model_file",
                    tooltip="The file, in ComfyUI's output folder; connect it to Preview 3D.",
                )
            ],
            is_output_node=True,
        )

    @classmethod
    @in_core
    def execute(
        cls,
        model: LoadedModel,
        latent: list[Inversion],
        resolution: int,
        level: float,
        format: str,  # noqa: A002 - the widget's name
        filename_prefix: str,
    ) -> io.NodeOutput:
        """See `threedpsp.extract_mesh` and `threedpsp.write_mesh`."""
        import folder_paths

        from .. import threedpsp

        mesh = threedpsp.extract_mesh(
            model.ready().generator, latent[0], resolution=resolution, level=level or None, on_progress=NodeProgress()
        )
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory()
        )
        path = Path(folder) / f"{name}_{counter:05}_.{format}"
        threedpsp.write_mesh(mesh, path)
        shown = f"{subfolder}/{path.name}" if subfolder else path.name
        return io.NodeOutput(shown, ui=ui.PreviewUI3D(shown, None))
