"""Estimate Pose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .io_types import CAMERA, FACE, io, node_schema, ui
from .model_paths import weights_folders
from .running import in_core
from .tensors import image_from_core

if TYPE_CHECKING:
    from ..threedpsp import FaceCrop


class EstimatePose(io.ComfyNode):
    """Where the camera of each photo stood."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Face -> face with camera, camera, overlay, yaw, pitch."""
        turn = "It is added to the estimate, in degrees."
        return node_schema(
            "ThreeDpSpEstimatePose",
            "3DpSp Estimate Pose",
            "Estimates where the camera stood when the photo was taken, shows it on the crop, and lets you correct it.",
            search_aliases=["head pose", "camera pose", "yaw pitch", "deep3d"],
            inputs=[
                FACE.Input("face", tooltip="Aligned faces from Align."),
                io.Combo.Input(
                    "source",
                    options=["mediapipe", "deep3d"],
                    default="mediapipe",
                    tooltip="'mediapipe' fits the landmarks and needs nothing else. 'deep3d' is the network of the "
                    "published preprocessing; it needs Deep3DFaceRecon's file epoch_20.pth in models/threedpsp.",
                ),
                io.Float.Input(
                    "turn_yaw",
                    default=0.0,
                    min=-45.0,
                    max=45.0,
                    step=0.5,
                    tooltip=f"Correction to the side, positive = camera to its right. {turn}",
                ),
                io.Float.Input(
                    "turn_pitch",
                    default=0.0,
                    min=-45.0,
                    max=45.0,
                    step=0.5,
                    tooltip=f"Correction upwards, positive = camera higher. {turn}",
                ),
            ],
            outputs=[
                FACE.Output("posed", display_name="face", tooltip="The same faces with these cameras."),
                CAMERA.Output("camera", display_name="camera", tooltip="The cameras; the start of a camera path."),
                io.Image.Output(
                    "overlay",
                    display_name="overlay",
                    tooltip="The crops with landmarks and the head's axes: red to its left, green up, blue forwards.",
                ),
                io.Float.Output("yaw", display_name="yaw", tooltip="Yaw of the first camera in degrees."),
                io.Float.Output("pitch", display_name="pitch", tooltip="Pitch of the first camera in degrees."),
            ],
        )

    @classmethod
    @in_core
    def execute(cls, face: FaceCrop, source: str, turn_yaw: float, turn_pitch: float) -> io.NodeOutput:
        """See `threedpsp.estimate_pose`."""
        from .. import threedpsp

        posed = threedpsp.estimate_pose(
            face, source, turn_yaw=turn_yaw, turn_pitch=turn_pitch, weights_dirs=weights_folders()
        )
        overlay = image_from_core(threedpsp.pose_overlay(posed))
        yaw, pitch = posed.camera.yaw_degrees[0].item(), posed.camera.pitch_degrees[0].item()
        return io.NodeOutput(posed, posed.camera, overlay, yaw, pitch, ui=ui.PreviewImage(overlay, cls=cls))
