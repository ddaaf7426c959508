"""The viewer for notebooks: a head to turn, its stages, its depth, its photo beside it, and another photo instead."""

from __future__ import annotations

import asyncio
import io
from typing import Any

from PIL import Image

from ..eg3d.generator import Generator
from ..errors import ThreeDPSPError
from ..pipeline import Pipeline
from ..rendering import HasGenerator
from ..types import FaceCrop, Inversion
from .drag import drag_class, widgets
from .head_views import PITCH_LIMIT, HeadViews

YAW_LIMIT = 45.0
REST_SECONDS = 0.3
"""After so long without a change the picture is rendered in full."""


def viewer(source: Generator | HasGenerator, head: Inversion, photo: FaceCrop | None = None, *, side: int = 384) -> Any:
    """A head to turn with the mouse, the sliders or the arrow keys: coarse while it moves, in full when it rests.

    Args:
        source: a pipeline; or a generator, without an upload then.
        head: of one photo.
        photo: its crop, for before and after.
        side: of the picture in pixels.

    Returns:
        An ipywidgets box, shown where it is a cell's last line. Its `controls` hold the parts by name, for scripts.

    Raises:
        MissingDependencyError: ipywidgets or anywidget is missing.
        InputError, WeightsError: as of `HeadViews`.
    """
    return _Viewer(source, HeadViews(source, head, photo), side).box


class _Viewer:
    """Connects the parts; all pictures are made by `HeadViews.picture`."""

    def __init__(self, source: Generator | HasGenerator, views: HeadViews, side: int) -> None:
        self.ipywidgets = widgets()
        self.source, self.views, self.side = source, views, side
        self.timer: asyncio.TimerHandle | None = None
        self.quiet = False
        self.controls = self._controls()
        self._fit_to_head()
        for name in ("yaw", "pitch"):
            self.controls[name].observe(self._turned, "value")
        for name in ("stage", "depth", "compare"):
            self.controls[name].observe(self._changed, "value")
        self.controls["picture"].observe(self._dragged, ["yaw_degrees", "pitch_degrees", "moving"])
        self.controls["upload"].observe(self._uploaded, "value")
        self.show()
        self.box = self._box()

    def _controls(self) -> dict[str, Any]:
        make, wide = self.ipywidgets, {"description_width": "70px"}
        layout = {"width": f"{self.side}px"}

        def slider(name: str, limit: float) -> Any:
            return make.FloatSlider(
                0, min=-limit, max=limit, step=1, description=name, readout_format=".0f", style=wide, layout=layout
            )

        return {
            "picture": drag_class()(yaw_limit=YAW_LIMIT, pitch_limit=PITCH_LIMIT),
            "yaw": slider("Yaw °", YAW_LIMIT),
            "pitch": slider("Pitch °", PITCH_LIMIT),
            "stage": make.SelectionSlider(options=[("", 0)], description="Iteration", style=wide, layout=layout),
            "compare": make.ToggleButton(description="Before / after", icon="columns"),
            "depth": make.ToggleButton(description="Depth", icon="cube"),
            "upload": make.FileUpload(accept="image/*", description="Another photo"),
            "status": make.Label(),
        }

    def _box(self) -> Any:
        make, parts = self.ipywidgets, self.controls
        buttons = [parts["depth"]]
        buttons += [parts["compare"]] if self.views.photo is not None or self._can_invert() else []
        buttons += [parts["upload"]] if self._can_invert() else []
        box = make.VBox(
            [parts["picture"], parts["yaw"], parts["pitch"], parts["stage"], make.HBox(buttons), parts["status"]]
        )
        box.controls = parts
        return box

    def _can_invert(self) -> bool:
        return isinstance(self.source, Pipeline)

    def _fit_to_head(self) -> None:
        """Sliders and stages as the head has them; nothing is rendered."""
        self.quiet = True
        stages = [(name, index) for index, (name, _) in enumerate(self.views.stages)]
        self.controls["stage"].options = stages
        self.controls["stage"].value = stages[-1][1]
        self.controls["yaw"].value = self.views.yaw_degrees
        self.controls["pitch"].value = self.views.pitch_degrees
        self._angles_to_picture()
        self.quiet = False

    def show(self, quick: bool = False) -> None:
        """Renders what the controls ask for."""
        self._stop_timer()
        parts = self.controls
        picture = self.views.picture(
            parts["yaw"].value,
            parts["pitch"].value,
            stage=parts["stage"].value,
            depth=parts["depth"].value,
            compare=parts["compare"].value,
            quick=quick,
            side=self.side,
        )
        data = io.BytesIO()
        Image.fromarray(picture).save(data, format="PNG", compress_level=1)
        parts["picture"].picture = data.getvalue()

    def _turned(self, change: dict[str, Any]) -> None:
        if self.quiet:
            return
        self._angles_to_picture()
        self._move()

    def _dragged(self, change: dict[str, Any]) -> None:
        if self.quiet:
            return
        if change["name"] == "moving":
            if not change["new"]:
                self.show()
            return
        self.quiet = True
        self.controls["yaw"].value = self.controls["picture"].yaw_degrees
        self.controls["pitch"].value = self.controls["picture"].pitch_degrees
        self.quiet = False
        self._move()

    def _changed(self, change: dict[str, Any]) -> None:
        if not self.quiet:
            self.show()

    def _uploaded(self, change: dict[str, Any]) -> None:
        """Another photo: prepared, inverted by the encoder, shown; what is wrong with it is said below."""
        if not change["new"] or not isinstance(self.source, Pipeline):
            return
        status = self.controls["status"]
        status.value = "Inverting ..."
        try:
            crop = self.source.prepare(bytes(change["new"][0]["content"]))
            self.views = HeadViews(self.source, self.source.invert(crop), crop)
        except ThreeDPSPError as error:
            status.value = str(error)
            return
        status.value = " ".join(crop.notes)
        self._fit_to_head()
        self.show()

    def _angles_to_picture(self) -> None:
        was, self.quiet = self.quiet, True
        self.controls["picture"].yaw_degrees = self.controls["yaw"].value
        self.controls["picture"].pitch_degrees = self.controls["pitch"].value
        self.quiet = was

    def _move(self) -> None:
        """A coarse picture now, and a full one when nothing has changed for a while; without an event loop, at once."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.show()
            return
        self.show(quick=True)
        self.timer = loop.call_later(REST_SECONDS, self.show)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
