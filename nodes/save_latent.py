"""Save Latent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .io_types import LATENT, io, node_schema, ui
from .latent_files import SUBFOLDER, SUFFIX
from .running import in_core

if TYPE_CHECKING:
    from ..threedpsp import Inversion


class SaveLatent(io.ComfyNode):
    """Heads to files."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Latent, prefix -> files, paths."""
        return node_schema(
            "ThreeDpSpSaveLatent",
            "3DpSp Save Latent",
            "Saves each head as a .safetensors file that renders later, here, in Python or on the command line.",
            search_aliases=["save head", "export latent", "w+"],
            inputs=[
                LATENT.Input("latent", tooltip="Heads to save; tuned weights come along."),
                io.String.Input(
                    "filename_prefix",
                    default=f"{SUBFOLDER}/head",
                    tooltip="Where in ComfyUI's output folder, and how the names begin. Load Latent lists the files in "
                    f"'{SUBFOLDER}'.",
                ),
            ],
            outputs=[io.String.Output("paths", display_name="paths", tooltip="The files written, one a line.")],
            is_output_node=True,
        )

    @classmethod
    @in_core
    def execute(cls, latent: list[Inversion], filename_prefix: str) -> io.NodeOutput:
        """See `threedpsp.save_inversion`."""
        import folder_paths

        from .. import threedpsp

        folder, name, counter, _, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory()
        )
        counter = max(counter, _next_number(Path(folder), name))
        paths = [Path(folder) / f"{name}_{counter + index:05}_{SUFFIX}" for index in range(len(latent))]
        for path, head in zip(paths, latent, strict=True):
            threedpsp.save_inversion(path, head)
        text = "\n".join(str(path) for path in paths)
        return io.NodeOutput(text, ui=ui.PreviewText(text))


def _next_number(folder: Path, name: str) -> int:
    """One more than the largest number that is taken."""
    numbers = [path.name.removeprefix(f"{name}_").split("_")[0] for path in folder.glob(f"{name}_*{SUFFIX}")]
    return 1 + max((int(number) for number in numbers if number.isdigit()), default=0)
