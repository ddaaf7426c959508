"""Load Latent."""

from __future__ import annotations

from .io_types import CAMERA, LATENT, io, node_schema
from .latent_files import SUBFOLDER, latent_path, saved_latents
from .running import in_core


class LoadLatent(io.ComfyNode):
    """Heads from files."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """File -> latent, camera."""
        return node_schema(
            "ThreeDpSpLoadLatent",
            "3DpSp Load Latent",
            "Loads a head that Save Latent or 'threedpsp invert' has written.",
            search_aliases=["load head", "import latent", "w+"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=saved_latents(),
                    tooltip=f"Files of ComfyUI's input folder and of '{SUBFOLDER}' of its output folder.",
                )
            ],
            outputs=[
                LATENT.Output("latent", display_name="latent", tooltip="The heads of the file."),
                CAMERA.Output("camera", display_name="camera", tooltip="The cameras of their photos."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, file: str) -> str:
        """Changes when the file is written anew, which ComfyUI cannot see from its name."""
        from .. import threedpsp

        try:
            facts = latent_path(file).stat()
        except (threedpsp.InputError, OSError):
            return file
        return f"{file} {facts.st_mtime_ns} {facts.st_size}"

    @classmethod
    @in_core
    def execute(cls, file: str) -> io.NodeOutput:
        """See `threedpsp.load_inversion`."""
        from .. import threedpsp

        inversion = threedpsp.load_inversion(latent_path(file))
        return io.NodeOutput(inversion.split(), inversion.camera)
