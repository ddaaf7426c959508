"""Blend Latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .io_types import LATENT, io, node_schema
from .running import in_core

if TYPE_CHECKING:
    from ..threedpsp import Inversion


class BlendLatents(io.ComfyNode):
    """Two people in one head."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Two latents, amount -> latent."""
        return node_schema(
            "ThreeDpSpBlendLatents",
            "3DpSp Blend Latents",
            "Blends two heads of the same model: all of them, their shape alone, or their colours alone.",
            search_aliases=["mix", "morph", "interpolate", "style mixing", "average"],
            inputs=[
                LATENT.Input("latent_a", tooltip="The first head (or heads)."),
                LATENT.Input("latent_b", tooltip="The second head, or as many as in the first."),
                io.Float.Input(
                    "amount",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="0 = the first head, 1 = the second, between = a blend.",
                ),
                io.Combo.Input(
                    "what",
                    options=["everything", "shape", "colours"],
                    default="everything",
                    tooltip="Which style vectors are blended: all, the coarse half (shape of the features), or the "
                    "fine half (colours, skin, light).",
                ),
            ],
            outputs=[LATENT.Output("latent", display_name="latent", tooltip="The blend, with the first's camera.")],
        )

    @classmethod
    @in_core
    def execute(cls, latent_a: list[Inversion], latent_b: list[Inversion], amount: float, what: str) -> io.NodeOutput:
        """See `threedpsp.blend`."""
        from .. import threedpsp

        if len(latent_b) not in (1, len(latent_a)):
            raise threedpsp.InputError(
                f"Blend Latents needs one second head, or as many as first ones; "
                f"got {len(latent_a)} and {len(latent_b)}."
            )
        seconds = latent_b * len(latent_a) if len(latent_b) == 1 else latent_b
        heads = [threedpsp.blend(a, b, amount, what=what) for a, b in zip(latent_a, seconds, strict=True)]
        return io.NodeOutput(heads)
