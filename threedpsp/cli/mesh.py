"""`threedpsp mesh`: a saved head as a 3-D file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import about
from ..output import output_dir
from .command import GeneratorCommand
from .option_types import Count, MaybeOutputPath


@dataclass(frozen=True)
class Mesh(GeneratorCommand):
    """Save a head as a surface with colours: .glb, .ply or .obj.

    It takes the latent.safetensors that threedpsp invert wrote; only the generator is needed.
    """

    examples = (
        "threedpsp mesh output/me/latent.safetensors -o me.glb",
        "threedpsp mesh output/me/latent.safetensors -o me.ply --resolution 512",
    )

    latent: Annotated[Path, tyro.conf.Positional] = Path("latent.safetensors")
    """The file that threedpsp invert wrote."""
    output: MaybeOutputPath = None
    """The file; its ending decides the format. By default mesh.glb beside the latent."""
    resolution: Count = 256
    """Grid points along each side; twice as many take eight times as long."""
    level: Annotated[float | None, tyro.conf.arg(metavar="DENSITY", help_behavior_hint="(default: 10)")] = None
    """Density per world unit at which the surface lies; higher shrinks it."""

    def run(self) -> int:
        """Writes the file and prints where it is."""
        from ..export.latent_file import load_inversion
        from ..export.mesh_file import write_mesh
        from ..meshing import extract_mesh

        head = load_inversion(self.latent)
        target = self.output or self.latent.with_name("mesh.glb")
        with output_dir(target.parent), about(self.latent):
            mesh = extract_mesh(
                self.load_generator(), head, resolution=self.resolution, level=self.level, on_progress=self.progress()
            )
            write_mesh(mesh, target)
        counts = {"vertices": len(mesh.vertices), "triangles": len(mesh.faces)}
        self.result(f"mesh: {target} ({counts['triangles']} triangles)", {"mesh": str(target), **counts})
        return 0
