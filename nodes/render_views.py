"""Render Views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .io_types import CAMERA, LATENT, MODEL, io, node_schema
from .loaded_model import LoadedModel
from .progress import NodeProgress
from .running import in_core
from .tensors import grey_image, image_from_core, image_in_place

if TYPE_CHECKING:
    from ..threedpsp import Camera, Inversion


class RenderViews(io.ComfyNode):
    """Pictures of heads."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Model, latent, cameras -> images, depth, normals, mask."""
        return node_schema(
            "ThreeDpSpRenderViews",
            "3DpSp Render Views",
            "Draws each head from each camera: pictures for Create Video or Save Image, with depth, normals and the "
            "head's mask.",
            search_aliases=["turntable", "novel view", "multi view", "depth", "normal map", "video frames"],
            inputs=[
                MODEL.Input("model", tooltip="The model that the latent was made with."),
                LATENT.Input("latent", tooltip="Heads from Encode, Refine, Blend Latents or Load Latent."),
                CAMERA.Input(
                    "cameras",
                    optional=True,
                    tooltip="From Camera Path. Not connected: each head once, from its photo's camera.",
                ),
                io.Int.Input(
                    "size",
                    default=512,
                    min=0,
                    max=2048,
                    step=64,
                    tooltip="Side of the pictures in pixels: those of smaller models are enlarged, larger ones stay "
                    "as they are. 0 = as the model draws them.",
                ),
                io.Int.Input(
                    "frames_at_once",
                    default=0,
                    min=0,
                    max=64,
                    tooltip="Frames rendered together. 0 = on an NVIDIA card as many as fit in its memory, else 1. "
                    "Finished frames lie in main memory.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "images",
                    display_name="images",
                    tooltip="One picture a camera; of several heads, one after another.",
                ),
                io.Image.Output("depth", display_name="depth", tooltip="White = near, black = far or background."),
                io.Image.Output(
                    "normals", display_name="normals", tooltip="Surface normals: red right, green up, blue to you."
                ),
                io.Mask.Output("mask", display_name="mask", tooltip="The head: 1 = solid, 0 = background."),
            ],
        )

    @classmethod
    @in_core
    def execute(
        cls,
        model: LoadedModel,
        latent: list[Inversion],
        size: int,
        frames_at_once: int,
        cameras: Camera | None = None,
    ) -> io.NodeOutput:
        """See `threedpsp.render_views`."""
        from .. import threedpsp

        progress = NodeProgress()
        views = threedpsp.render_views(
            model.ready().generator,
            latent,
            cameras,
            side=size,
            chunk=frames_at_once,
            on_progress=progress,
            on_image=progress.show,
        )
        return io.NodeOutput(
            image_in_place(views.image),
            grey_image(views.depth),
            image_from_core(views.normals),
            views.opacity[:, 0].clamp(0, 1).float().cpu(),
        )
