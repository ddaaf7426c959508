"""Random Head."""

from __future__ import annotations

from .io_types import LATENT, MODEL, io, node_schema
from .loaded_model import LoadedModel
from .running import in_core
from .tensors import image_from_core


class RandomHead(io.ComfyNode):
    """A head of nobody."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Model, seed -> latent, image."""
        return node_schema(
            "ThreeDpSpRandomHead",
            "3DpSp Random Head",
            "A head of a person who does not exist, drawn from the generator by a seed.",
            search_aliases=["sample", "seed", "eg3d sample", "generate face"],
            inputs=[
                MODEL.Input("model", tooltip="From Load Model."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**32 - 1,
                    control_after_generate=True,
                    tooltip="The same seed gives the same head with the same generator.",
                ),
                io.Float.Input(
                    "truncation",
                    default=0.7,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How far from the average face: 0 = the average itself, 1 = all that the generator knows.",
                ),
            ],
            outputs=[
                LATENT.Output("latent", display_name="latent", tooltip="The head, for Render Views and Blend Latents."),
                io.Image.Output("image", display_name="image", tooltip="The head from the front."),
            ],
        )

    @classmethod
    @in_core
    def execute(cls, model: LoadedModel, seed: int, truncation: float) -> io.NodeOutput:
        """See `threedpsp.random_head`."""
        from .. import threedpsp

        pipeline = model.ready()
        head = threedpsp.random_head(pipeline.generator, seed, truncation=truncation).to("cpu")
        return io.NodeOutput([head], image_from_core(threedpsp.own_views(pipeline, [head])))
