"""The picture that is dragged: an anywidget, so that it works in JupyterLab, VS Code and Colab without an extension."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import MissingDependencyError

SCRIPT = Path(__file__).with_name("drag.js")


def widgets() -> Any:
    """The module ipywidgets.

    Raises:
        MissingDependencyError: it, or anywidget, is missing.
    """
    try:
        import anywidget  # noqa: F401
        import ipywidgets
    except ImportError as error:
        raise MissingDependencyError(
            f"The viewer needs ipywidgets and anywidget; {error.name or 'one of them'} is missing. "
            "Run: pip install ipywidgets anywidget"
        ) from error
    return ipywidgets


@lru_cache(maxsize=1)
def drag_class() -> Any:
    """The widget's class: a PNG, the angles that dragging sets, their limits, and whether it is being dragged."""
    widgets()
    import anywidget
    import traitlets

    class DragPicture(anywidget.AnyWidget):
        """Shows `picture` and turns dragging into angles."""

        _esm = SCRIPT.read_text(encoding="utf-8")
        picture = traitlets.Bytes(b"").tag(sync=True)
        yaw_degrees = traitlets.Float(0.0).tag(sync=True)
        pitch_degrees = traitlets.Float(0.0).tag(sync=True)
        yaw_limit = traitlets.Float(45.0).tag(sync=True)
        pitch_limit = traitlets.Float(40.0).tag(sync=True)
        moving = traitlets.Bool(False).tag(sync=True)

    return DragPicture
