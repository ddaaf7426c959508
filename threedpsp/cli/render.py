"""`threedpsp render`: a saved head from other cameras."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import InputError, about
from ..output import output_dir
from .command import GeneratorCommand
from .photo_options import Video


@dataclass(frozen=True)
class Render(GeneratorCommand):
    """A saved head (latent.safetensors) to a video along another camera path. Only its generator is needed.

    Example: threedpsp render output/me/latent.safetensors --path ellipse --frames 96 -o me.mp4
    """

    latent: Annotated[Path, tyro.conf.Positional] = Path("latent.safetensors")
    """The file that invert wrote."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The video; by default <path>.mp4 beside the latent."""
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
