"""Confidence Map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .io_types import FACE, io, node_schema, ui
from .model_paths import weights_folders
from .running import in_core
from .tensors import image_from_core

if TYPE_CHECKING:
    from ..threedpsp import FaceCrop


class ConfidenceMap(io.ComfyNode):
    """How far each pixel's mirror image can be trusted."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Face -> face with uncertainty, mask, heat map."""
        return node_schema(
            "ThreeDpSpConfidenceMap",
            "3DpSp Confidence Map",
            "Estimates where the mirrored photo may stand in for the side that the photo does not show. Refine trusts "
            "the mirrored photo as far as this map says.",
            search_aliases=["uncertainty", "mirror", "symmetry", "unsup3d", "conf map", "heat map"],
            inputs=[
                FACE.Input("face", tooltip="Aligned faces, with the cameras they shall have."),
                io.Combo.Input(
                    "source",
                    options=["builtin", "unsup3d"],
                    default="builtin",
                    tooltip="'builtin' compares the face with its mirror image and needs nothing else. 'unsup3d' is "
                    "the network of the published work; it needs checkpoint030.pth in models/threedpsp.",
                ),
            ],
            outputs=[
                FACE.Output("mapped", display_name="face", tooltip="The same faces with the map."),
                io.Mask.Output(
                    "confidence",
                    display_name="confidence",
                    tooltip="The map on the crop: 1 = the mirror image is as good as the photo, 0 = of no use.",
                ),
                io.Image.Output(
                    "heat",
                    display_name="heat_map",
                    tooltip="The same as colours over the crop: yellow = do not trust, dark violet = trust.",
                ),
            ],
        )

    @classmethod
    @in_core
    def execute(cls, face: FaceCrop, source: str) -> io.NodeOutput:
        """See `threedpsp.estimate_confidence`."""
        from .. import threedpsp

        mapped = threedpsp.estimate_confidence(face, source, weights_dirs=weights_folders())
        confidence = threedpsp.confidence_on_photo(mapped)
        heat = image_from_core(threedpsp.confidence_heat(mapped))
        return io.NodeOutput(mapped, confidence.cpu(), heat, ui=ui.PreviewImage(heat, cls=cls))
