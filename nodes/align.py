"""Align."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .io_types import FACE, FACE_LANDMARKS, io, node_schema, running_comfyui_has, ui
from .progress import NodeProgress
from .running import in_core
from .tensors import image_from_core, photos_from_image


class Align(io.ComfyNode):
    """Photos to aligned crops."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Photos -> face, crop, report."""
        inputs: list[Any] = [
            io.Image.Input("photos", tooltip="One photo, or a batch; each with a face at least 40 pixels wide."),
            io.Int.Input(
                "face",
                default=0,
                min=0,
                max=15,
                tooltip="Which face of the photo: 0 is the largest, 1 the next, and so on.",
            ),
            io.Combo.Input(
                "border",
                options=["mirror", "black"],
                default="mirror",
                tooltip="What lies outside the photo: the photo mirrored at its edge, or black as in EG3D's own crops.",
            ),
            io.Combo.Input(
                "no_face",
                options=["stop", "skip"],
                default="stop",
                tooltip="What to do with a photo of a batch that has no usable face: stop and say which, or leave it "
                "out and go on. The report names it either way.",
            ),
        ]
        if running_comfyui_has("MediaPipeFaceLandmarker"):
            inputs.append(
                FACE_LANDMARKS.Input(
                    "landmarks",
                    optional=True,
                    tooltip="Landmarks of the same photos from ComfyUI's own face landmark node; then nothing is "
                    "searched here, and the Python package mediapipe is not needed.",
                )
            )
        return node_schema(
            "ThreeDpSpAlign",
            "3DpSp Align",
            "Finds the face in each photo, cuts the crop that EG3D was trained on, and estimates its camera.",
            search_aliases=["face crop", "face align", "ffhq crop", "mediapipe", "landmarks"],
            inputs=inputs,
            outputs=[
                FACE.Output("aligned", display_name="face", tooltip="Crops with landmarks and cameras, for Encode."),
                io.Image.Output("crop", display_name="crop", tooltip="The aligned crops, 512 x 512 pixels."),
                io.String.Output(
                    "report", display_name="report", tooltip="What was found, photo by photo, in plain words."
                ),
            ],
        )

    @classmethod
    @in_core
    def execute(
        cls, photos: Tensor, face: int, border: str, no_face: str, landmarks: dict[str, Any] | None = None
    ) -> io.NodeOutput:
        """See `threedpsp.align`."""
        from .. import threedpsp

        crop = threedpsp.align(
            photos_from_image(photos),
            face=face,
            border=border,
            skip_missing=no_face == "skip",
            landmarks=None if landmarks is None else _points(landmarks),
            on_progress=NodeProgress(),
        )
        image = image_from_core(crop.image)
        report = "\n".join(crop.notes) or f"{len(crop)} photo(s) aligned."
        return io.NodeOutput(crop, image, report, ui=ui.PreviewImage(image, cls=cls))


def _points(landmarks: dict[str, Any]) -> list[list[Any]]:
    """For each photo the points [V,2] in pixels of the faces on it, from what ComfyUI's detector of landmarks gives."""
    return [[found["landmarks_xy"] for found in faces] for faces in landmarks["frames"]]
