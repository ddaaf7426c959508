"""Evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from .io_types import FACE, io, node_schema, ui
from .running import in_core
from .tensors import image_from_core, image_to_core

if TYPE_CHECKING:
    from ..threedpsp import FaceCrop


class Evaluate(io.ComfyNode):
    """How close pictures are to the photos."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Face, image -> figures, report, comparison."""
        return node_schema(
            "ThreeDpSpEvaluate",
            "3DpSp Evaluate",
            "Measures how close pictures are to the photos that they were made from: in their pixels (PSNR), in how "
            "they look (ST-LPIPS), and in whose face it is (the distance of dlib: below 0.6, the same person).",
            search_aliases=["metrics", "psnr", "lpips", "identity", "compare"],
            inputs=[
                FACE.Input("face", tooltip="The aligned faces."),
                io.Image.Input(
                    "image", tooltip="A picture of each, from its photo's camera: the image of Encode or Refine."
                ),
            ],
            outputs=[
                io.Float.Output("psnr", display_name="psnr", tooltip="Mean PSNR in dB; higher is closer."),
                io.Float.Output("lpips", display_name="lpips", tooltip="Mean ST-LPIPS (AlexNet); lower is closer."),
                io.Float.Output(
                    "identity", display_name="identity", tooltip="Mean identity distance; below 0.6 is the same person."
                ),
                io.String.Output("report", display_name="report", tooltip="The figures of each photo as a table."),
                io.Image.Output("comparison", display_name="comparison", tooltip="Photo and picture side by side."),
            ],
            is_output_node=True,
        )

    @classmethod
    @in_core
    def execute(cls, face: FaceCrop, image: Tensor) -> io.NodeOutput:
        """See `threedpsp.compare`."""
        from .. import threedpsp

        result = threedpsp.compare(face, image_to_core(image))
        means = result.means
        comparison = image_from_core(result.side_by_side)
        return io.NodeOutput(
            means["psnr"],
            means["lpips"],
            means["identity"],
            result.to_markdown(),
            comparison,
            ui={**ui.PreviewText(result.to_markdown()).as_dict(), **ui.PreviewImage(comparison, cls=cls).as_dict()},
        )
