"""`threedpsp render`: a saved head from other cameras."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import InputError, about
from ..output import output_dir
from .command import GeneratorCommand
from .option_types import MaybeOutputPath
from .photo_options import Video


@dataclass(frozen=True)
class Render(GeneratorCommand):
    """Film a saved head along another camera path.

    It takes the latent.safetensors that threedpsp invert wrote; only the generator is needed.
    """

    examples = (
        "threedpsp render output/me/latent.safetensors --path ellipse --frames 96 -o me.mp4",
        "threedpsp render output/me/latent.safetensors --path swing --yaw 45 --size 1024",
    )

    latent: Annotated[Path, tyro.conf.Positional] = Path("latent.safetensors")
    """The file that threedpsp invert wrote."""
    output: MaybeOutputPath = None
    """The video; by default a file named after --path, swing.mp4 for example, beside the latent."""
    video: Video = field(default_factory=Video)

    def run(self) -> int:
        """Writes the video and prints where it is."""
        from ..export.latent_file import load_inversion
        from ..export.video import write_video
        from ..rendering import frames

        inversion = load_inversion(self.latent)
        target = self.output or self.latent.with_name(f"{self.video.path}.mp4")
        if target.suffix.lower() != ".mp4":
            raise InputError(f"The video is written as .mp4; got {target}.")
        with output_dir(target.parent), about(self.latent):
            generator = self.load_generator()
            cameras = self.video.options().cameras(inversion.camera, generator.config.camera_sphere)
            pictures = frames(generator, inversion, cameras, side=self.video.size, on_progress=self.progress())
            count = write_video(target, pictures, self.video.fps)
        self.result(f"video: {target}", {"video": str(target), "frames": count, "fps": self.video.fps})
        return 0
