"""Progress bar, live preview, and the Cancel button, from the callbacks that the core offers."""

from __future__ import annotations

from torch import Tensor

from .tensors import preview_of

UNITS = 1000  # of a part's bar


class NodeProgress:
    """One node's bar over `total` parts of equal length; a stage of another name is the next part.

    Every call also looks whether the user has pressed Cancel and, if so, ends the work by raising ComfyUI's own
    exception.
    """

    def __init__(self, total: int = 1) -> None:
        import comfy.utils

        self.part, self.total = 0, max(total, 1)
        self._stage = ""
        self._image: Tensor | None = None
        self._bar = comfy.utils.ProgressBar(UNITS * self.total)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """The core's callback: `done` of `total` of the current part."""
        preview = None if self._image is None else preview_of(self._image)
        self._image = None
        if self._stage and stage != self._stage:
            self.part = min(self.part + 1, self.total - 1)
        self._stage = stage
        self._update(UNITS * self.part + UNITS * done // max(total, 1), preview)

    def show(self, image: Tensor) -> None:
        """Keeps a picture [N,3,H,W] in [-1,1] as the preview of the next update."""
        self._image = image

    def next_part(self) -> None:
        """The current part is finished."""
        self.part += 1
        self._update(UNITS * self.part, None)

    def finish(self) -> None:
        """All is done, also where parts were not needed."""
        self._update(UNITS * self.total, None)

    def _update(self, value: int, preview: object) -> None:
        import comfy.model_management

        comfy.model_management.throw_exception_if_processing_interrupted()
        self._bar.update_absolute(value, UNITS * self.total, preview)
