"""`threedpsp mesh`: a saved head as a 3-D file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import about
from ..output import output_dir
from .command import GeneratorCommand


@dataclass(frozen=True)
class Mesh(GeneratorCommand):
    """A saved head (latent.safetensors) as a surface with colours: .glb, .ply or .obj. Only its generator is needed.

    Example: threedpsp mesh output/me/latent.safetensors -o me.glb
    """

    latent: Annotated[Path, tyro.conf.Positional] = Path("latent.safetensors")
    """The file that invert wrote."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The file; its suffix decides the format. By default mesh.glb beside the latent."""
    resolution: int = 256
    """Grid points along each side; twice as many take eight times as long."""
    level: float | None = None
    """Density per world unit at which the surface lies; higher shrinks it. Default 10."""

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
