"""Encode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from .io_types import CAMERA, FACE, LATENT, MODEL, io, node_schema
from .loaded_model import LoadedModel
from .progress import NodeProgress
from .running import in_core
from .tensors import image_from_core

if TYPE_CHECKING:
    from ..threedpsp import FaceCrop

ONE_PERSON = "one person"
Likeness = Literal["auto", "instant", "none"]


class Encode(io.ComfyNode):
    """Faces to heads."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Model, face -> latent, image, camera."""
        return node_schema(
            "ThreeDpSpEncode",
            "3DpSp Encode",
            "Turns aligned faces into heads that can be seen from any side: the encoder looks at the photo and at its "
            "own last attempt, several times over; then a first likeness brings each head to its own photo.",
            search_aliases=["inversion", "psp", "restyle", "photo to 3d", "gan inversion"],
            inputs=[
                MODEL.Input("model", tooltip="From Load Model."),
                FACE.Input("face", tooltip="Aligned faces, with cameras."),
                io.Int.Input(
                    "steps",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip="How often the encoder looks. 0 = what the system was made for (3DpSp 5, pSp and e4e 1).",
                ),
                io.Combo.Input(
                    "photos_show",
                    options=["different people", ONE_PERSON],
                    default="different people",
                    tooltip="A batch of different people gives one head each. Several photos of one person give one "
                    "head: the mean of theirs.",
                ),
                io.Combo.Input(
                    "likeness",
                    options=list(get_args(Likeness)),
                    default="auto",
                    optional=True,
                    tooltip="What follows the encoder. instant: a handful of updates that show the person; none: the "
                    "encoder alone, as published; auto: instant for models of at most 256 pixels, about two seconds a "
                    "photo.",
                ),
            ],
            outputs=[
                LATENT.Output("latent", display_name="latent", tooltip="The heads, for Render Views and Refine."),
                io.Image.Output("image", display_name="image", tooltip="Each head from its photo's own camera."),
                CAMERA.Output("camera", display_name="camera", tooltip="The cameras of the photos."),
            ],
        )

    @classmethod
    @in_core
    def execute(
        cls, model: LoadedModel, face: FaceCrop, steps: int, photos_show: str, likeness: Likeness = "auto"
    ) -> io.NodeOutput:
        """See `threedpsp.Pipeline.invert`."""
        from .. import threedpsp

        progress = NodeProgress(1 if likeness == "none" else 2)  # the system, then the first likeness
        pipeline = model.ready()
        inversion = pipeline.invert(
            face, steps=steps or None, likeness=likeness, on_progress=progress, on_image=progress.show
        )
        progress.finish()
        heads = [head.to("cpu") for head in inversion.split()]
        if photos_show == ONE_PERSON and len(heads) > 1:
            heads = [threedpsp.one_person(heads)]
        image = threedpsp.own_views(pipeline, heads)
        return io.NodeOutput(heads, image_from_core(image), threedpsp.Camera.cat([head.camera for head in heads]))
