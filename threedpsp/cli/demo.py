"""`threedpsp demo`: the whole path on a photo that comes with scikit-image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import MissingDependencyError
from ..output import output_dir
from .photo_options import PhotoCommand


@dataclass(frozen=True)
class Demo(PhotoCommand):
    """Try it on a public-domain portrait, offline.

    The portrait (scikit-image's astronaut) becomes a turning head on the embedded model: crop.png, sheet.png,
    turntable.mp4, latent.safetensors and report.json.
    """

    examples = ("threedpsp demo -o output", "threedpsp demo -o output --no-refine --likeness none --frames 24")

    def run(self) -> int:
        """Writes <output>/astronaut/ and prints where the video is."""
        self.check()
        photo = astronaut()
        with output_dir(self.output) as output:
            from ..results import photo_to_results

            pipeline = self.load(self.method)
            folder = output / "astronaut"
            report = photo_to_results(pipeline, photo, folder, name="astronaut", **self.processing())
        self.result(self.summary(folder, report), {"folder": folder, **report})
        return 0


def astronaut() -> Any:
    """The photo of the demonstration, uint8 [512,512,3]; it is among the files that come with scikit-image.

    Raises:
        MissingDependencyError: the package scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError as error:
        raise MissingDependencyError(
            "The demo's photo comes with scikit-image, which is missing: pip install scikit-image"
        ) from error
    return data.astronaut()
