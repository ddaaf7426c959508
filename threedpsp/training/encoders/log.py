"""What a training tells: a line now and then, every step in a CSV file, pictures, and TensorBoard if wanted."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ...errors import MissingDependencyError, OutputError
from ...export.images import save_png, to_uint8
from ...export.sheet import Cell, contact_sheet
from ...output import atomic_write

STEPS_FILE, VALIDATION_FILE, PANELS, TENSORBOARD = "steps.csv", "validation.csv", "panels", "tensorboard"


class Table:
    """A CSV file that grows by rows and is cut back when a run resumes earlier than it had got."""

    def __init__(self, path: Path, columns: Sequence[str], step: int) -> None:
        """Rows up to `step` stay.

        Raises:
            OutputError: it cannot be written.
        """
        self.path = path
        self.columns = list(columns)
        kept = [row for row in _rows(path) if int(row["step"]) <= step] if path.is_file() else []
        with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)

    def add(self, row: Mapping[str, Any]) -> None:
        """One more; columns that it lacks stay empty.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            with open(self.path, "a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.columns, extrasaction="ignore").writerow(row)
        except OSError as error:
            raise OutputError(f"Could not write {self.path}: {error.strerror or error}.") from error


def _rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of a file; a last one that was cut off in the middle is left out."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if (row.get("step") or "").isdigit() and None not in row.values()]


class Board:
    """TensorBoard, or nothing."""

    def __init__(self, folder: Path | None, step: int = 0) -> None:
        """folder: None switches it off. step: entries after it, of a stopped run, are dropped.

        Raises:
            MissingDependencyError: TensorBoard is not installed.
        """
        self.writer: Any = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingDependencyError(
                "--tensorboard needs TensorBoard. Install it with: pip install tensorboard"
            ) from error
        self.writer = SummaryWriter(str(folder), purge_step=step + 1)

    def numbers(self, group: str, values: Mapping[str, float], step: int) -> None:
        """A point of each curve."""
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(f"{group}/{name}", value, step)

    def picture(self, name: str, pixels: Any, step: int) -> None:
        """A picture, uint8 [H,W,3]."""
        if self.writer is not None:
            self.writer.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        if self.writer is not None:
            self.writer.close()


class Pace:
    """Images a second and time left, measured since the last line."""

    def __init__(self, batch: int, steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        """batch: images of a step. steps: in all."""
        self.batch = batch
        self.steps = steps
        self.clock = clock
        self.since, self.count = clock(), 0

    def tick(self) -> None:
        """A step is done."""
        self.count += 1

    def line(self, step: int, means: Mapping[str, float]) -> tuple[str, float]:
        """A line for the person, and images a second; begins a new measurement."""
        now = self.clock()
        seconds = max(now - self.since, 1e-9) / max(self.count, 1)
        self.since, self.count = now, 0
        speed = self.batch / seconds
        losses = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        rest = left(seconds * (self.steps - step))
        return f"step {step}/{self.steps}  {speed:.2f} images/s  {rest} left  {losses}", speed


def left(seconds: float) -> str:
    """A duration for people."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def save_panel(path: Path, photo: Tensor, images: Sequence[Tensor], mirror: Tensor | None, names: Sequence[str]) -> Any:
    """Writes a picture: for each photo a row with it, the render after each step, and the mirror view.

    Args:
        path: of the PNG.
        photo: [N,3,s,s] in [-1,1].
        images: of every step, [N,3,s,s].
        mirror: [N,3,s,s] or None.
        names: of the photos.

    Returns:
        The picture, uint8 [H,W,3].

    Raises:
        OutputError: it cannot be written.
    """
    import numpy as np

    columns = [*images, *([] if mirror is None else [mirror])]
    captions = [f"step {i}" for i in range(1, len(images) + 1)] + ([] if mirror is None else ["mirrored camera"])
    rows: list[list[Cell]] = []
    for row in range(len(photo)):
        cells: list[Cell] = [(Path(names[row]).name[:24], to_uint8(photo[row : row + 1])[0])]
        cells += [
            (caption, to_uint8(image[row : row + 1])[0]) for caption, image in zip(captions, columns, strict=True)
        ]
        rows.append(cells)
    page = contact_sheet(rows, min(max(photo.shape[-1], 128), 256))
    path.parent.mkdir(exist_ok=True)
    save_png(path, page)
    return np.asarray(page)
