"""Validation: the training's own terms on every image that is set aside, each counted once."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError
from .networks import Trained
from .passes import Passes
from .photos import Batch, CheckedPhotos, Fault
from .processes import Processes
from .rendered import RenderedFaces


@dataclass(frozen=True)
class ValidationSet:
    """Photos, or without them so many rendered faces."""

    photos: CheckedPhotos | None
    rendered: RenderedFaces
    count: int
    batch: int

    def __len__(self) -> int:
        return self.count if self.photos is None else len(self.photos)

    def load(self, numbers: list[int]) -> Batch:
        """These images, on the generator's device.

        Raises:
            InputError: one of them cannot be used.
        """
        if self.photos is None:
            return self.rendered.batch(numbers)
        items = [self.photos[i] for i in numbers]
        for item in items:
            if isinstance(item, Fault):
                raise InputError(f"Validation: {item.message}")
        batch = Batch.cat([item for item in items if isinstance(item, Batch)])
        return batch.to(self.rendered.generator.device)

    def first(self, count: int) -> Batch:
        """The first so many images."""
        return self.load(list(range(min(count, len(self)))))


def validate(
    passes: Passes, network: Trained, images: ValidationSet, processes: Processes, step: int
) -> dict[str, float]:
    """Means over all images of the loss and its terms, the last and smaller batch included.

    The processes share the images; every process gets the same figures. Batch normalisation uses its running
    statistics, so that a figure does not depend on how images are grouped.

    Raises:
        InputError: an image cannot be used (in any process).
    """
    own = list(range(processes.rank, len(images), processes.count))
    groups = [own[i : i + images.batch] for i in range(0, len(own), images.batch)]
    sums: dict[str, float] = {}
    message = ""
    try:
        for group in groups:
            batch = images.load(group)
            outcome = passes.validate(network, batch, step)
            for name, value in {"loss": outcome.loss, **outcome.terms}.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch)
    except InputError as error:
        message = str(error)
    if message := processes.first_message(message):
        raise InputError(message)
    names = sorted(sums) if processes.count == 1 else _names_of_all(sums, processes)
    totals = processes.sums([sums.get(name, 0.0) for name in names])
    means = {name: total / max(len(images), 1) for name, total in zip(names, totals, strict=True)}
    return {"loss": means.pop("loss"), **means}


def _names_of_all(sums: dict[str, float], processes: Processes) -> list[str]:
    """The terms that any process has (one with no image has none)."""
    from accelerate.utils import gather_object

    return sorted({name for names in gather_object([sorted(sums)]) for name in names})
