"""Refine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .io_types import CAMERA, FACE, LATENT, MODEL, io, node_schema, ui
from .loaded_model import LoadedModel
from .progress import NodeProgress
from .running import in_core
from .tensors import image_from_core

if TYPE_CHECKING:
    from ..threedpsp import FaceCrop, Inversion


class Refine(io.ComfyNode):
    """Heads brought closer to their photos."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Model, latent, face -> latent, image, camera."""
        return node_schema(
            "ThreeDpSpRefine",
            "3DpSp Refine",
            "Brings each head closer to its photo, update by update; other views are kept in shape. The "
            "result is never worse than what it started from.",
            search_aliases=["pti", "fine-tune", "optimise", "optimize", "likeness"],
            inputs=[
                MODEL.Input("model", tooltip="The model that the latent was made with."),
                LATENT.Input("latent", tooltip="Heads from Encode."),
                FACE.Input("face", tooltip="The faces they were made from, best with their confidence map."),
                io.Float.Input(
                    "seconds",
                    default=60.0,
                    min=1.0,
                    max=3600.0,
                    step=1.0,
                    tooltip="At most so long for each photo: refining then ends even if updates are left. 5 are made "
                    "in any case.",
                ),
                io.Int.Input(
                    "steps",
                    default=40,
                    min=0,
                    max=5000,
                    tooltip="Updates for each photo; 5 make a likeness, more make it closer. 0 = 40. Fewer are made "
                    "if the seconds are over.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**32 - 1,
                    control_after_generate=False,
                    tooltip="Which other views are looked at, in which order.",
                ),
                io.Boolean.Input(
                    "tune_model",
                    default=True,
                    tooltip="Also fit a copy of the generator's weights to this photo, kept with the latent. Off: only "
                    "the latent and the camera change.",
                ),
            ],
            outputs=[
                LATENT.Output("refined", display_name="latent", tooltip="The heads, closer to their photos."),
                io.Image.Output("image", display_name="image", tooltip="Each head from its photo's camera."),
                CAMERA.Output("camera", display_name="camera", tooltip="The cameras, corrected a little."),
            ],
        )

    @classmethod
    @in_core
    def execute(
        cls,
        model: LoadedModel,
        latent: list[Inversion],
        face: FaceCrop,
        seconds: float,
        steps: int,
        seed: int,
        tune_model: bool,
    ) -> io.NodeOutput:
        """See `threedpsp.Pipeline.refine`."""
        from .. import threedpsp

        if len(latent) != len(face):
            raise threedpsp.InputError(
                f"Refine needs one face for each head; got {len(latent)} head(s) and {len(face)} face(s). Connect the "
                "faces that the latent was encoded from; a head made of several photos of one person takes one of them."
            )
        config = threedpsp.RefineConfig(
            seconds=seconds, steps=steps or None, seed=seed, tune_generator=tune_model, tune_planes=tune_model
        )
        progress = NodeProgress(len(latent))
        pipeline = model.ready()
        heads = []
        for index, head in enumerate(latent):
            refined = pipeline.refine(head, face[index], config, on_progress=progress, on_image=progress.show)
            heads.append(refined.to("cpu"))
            progress.next_part()
        image = threedpsp.own_views(pipeline, heads)
        camera = threedpsp.Camera.cat([head.camera for head in heads])
        return io.NodeOutput(heads, image_from_core(image), camera, ui=ui.PreviewText(_report(heads)))


def _report(heads: list[Inversion]) -> str:
    """What refining did, head by head, and what it had to do without."""
    facts = [head.info["refine"] for head in heads]
    lines = [
        f"Head {number}: {fact['steps']} updates in {fact['seconds']:.0f} s" for number, fact in enumerate(facts, 1)
    ]
    return "\n".join([*lines, *dict.fromkeys(note for fact in facts for note in fact["notes"])])
