"""Camera Path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .io_types import CAMERA, MODEL, VIEWER_CAMERA, io, node_schema
from .loaded_model import LoadedModel
from .running import in_core

if TYPE_CHECKING:
    from ..threedpsp import Camera

KEYFRAMES = "keyframes"


class CameraPath(io.ComfyNode):
    """The cameras of a video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Path, frames, angles -> cameras."""
        return node_schema(
            "ThreeDpSpCameraPath",
            "3DpSp Camera Path",
            "The cameras of a video around the head. Changing the path renders anew but never encodes anew.",
            search_aliases=["turntable", "orbit", "camera", "trajectory", "keyframes", "dolly zoom"],
            inputs=[
                io.Combo.Input(
                    "path",
                    options=["swing", "ellipse", "orbit", "dolly", KEYFRAMES],
                    default="swing",
                    tooltip="swing: left and right, starting at the photo's camera. ellipse: round the front of the "
                    "face. orbit: all the way round (face models know no backs of heads). dolly: a dolly zoom. "
                    "keyframes: through the views listed below.",
                ),
                io.Int.Input("frames", default=48, min=1, max=2000, tooltip="How many pictures the path has."),
                io.Float.Input(
                    "yaw",
                    default=30.0,
                    min=0.0,
                    max=89.0,
                    step=1.0,
                    tooltip="How far swing and ellipse go to each side, in degrees.",
                ),
                io.Float.Input(
                    "pitch",
                    default=12.0,
                    min=0.0,
                    max=89.0,
                    step=1.0,
                    tooltip="How far ellipse goes up and down, in degrees.",
                ),
                io.String.Input(
                    "keyframes",
                    default="0, 0\n25, 0\n0, 10\n-25, 0\n0, 0",
                    multiline=True,
                    tooltip="For the path 'keyframes': one view a line, yaw and pitch in degrees, as '25, 0'.",
                ),
                CAMERA.Input(
                    "start",
                    optional=True,
                    tooltip="The photo's camera, from Estimate Pose, Encode or Refine: the first frame of swing, orbit "
                    "and dolly. Not connected: from the front.",
                ),
                MODEL.Input(
                    "model",
                    optional=True,
                    tooltip="Only for models of other things than faces (cats, cars): where their cameras stand.",
                ),
                VIEWER_CAMERA.Input(
                    "viewer",
                    optional=True,
                    tooltip="A camera from ComfyUI's 3-D nodes (Load 3D, Create Camera Info): its direction and zoom "
                    "become the start; its distance is not used.",
                ),
            ],
            outputs=[CAMERA.Output("cameras", display_name="cameras", tooltip="One camera a frame, for Render Views.")],
        )

    @classmethod
    @in_core
    def execute(
        cls,
        path: str,
        frames: int,
        yaw: float,
        pitch: float,
        keyframes: str,
        start: Camera | None = None,
        model: LoadedModel | None = None,
        viewer: dict[str, Any] | None = None,
    ) -> io.NodeOutput:
        """See `threedpsp.camera_path` and `threedpsp.keyframes`."""
        from .. import threedpsp

        sphere = threedpsp.CameraSphere() if model is None else model.pipeline.generator.config.camera_sphere
        if path == KEYFRAMES:
            return io.NodeOutput(threedpsp.keyframes(threedpsp.parse_keyframes(keyframes), frames, sphere=sphere))
        if viewer is not None:
            start = threedpsp.camera_from_viewer(viewer, sphere=sphere)
        first = None if start is None else start[0]
        cameras = threedpsp.camera_path(path, frames, first, yaw_degrees=yaw, pitch_degrees=pitch, sphere=sphere)
        return io.NodeOutput(cameras)
