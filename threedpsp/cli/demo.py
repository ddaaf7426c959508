"""`threedpsp demo`: the whole path on a photo that comes with scikit-image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    """The photo of the demonstration, uint8 [512,512,3], from a file of scikit-image, of which nothing is imported.

    Raises:
        MissingDependencyError: the package scikit-image is not installed.
    """
    import numpy as np
    from PIL import Image

    from ..metrics.package_files import package_file

    name, package = "skimage/data/astronaut.png", "scikit-image"
    return np.asarray(Image.open(package_file(package, name, purpose="The demo's photo", install=package)))
