"""A head -> its surface, with everything that was tuned for it."""

from __future__ import annotations

from .eg3d.generator import Generator
from .eg3d.mesh import surface
from .encoder.checks import check_head
from .rendering import HasGenerator, Progress, head_planes
from .threads import as_many_threads_as_pay
from .types import Inversion, Mesh


@as_many_threads_as_pay()
def extract_mesh(
    source: Generator | HasGenerator,
    head: Inversion,
    *,
    resolution: int = 256,
    level: float | None = None,
    on_progress: Progress | None = None,
) -> Mesh:
    """The surface of one head, with colours.

    Args:
        source: a generator, or a pipeline.
        head: of one photo.
        resolution: grid points along each side of the planes' cube; time and memory grow with its cube.
        level: density per world unit at which the surface lies; default 10.
        on_progress: called with ("mesh", slabs done, slabs in all).

    Returns:
        See `eg3d.mesh.surface`.

    Raises:
        WeightsError: the head was made with another generator.
        InputError: several heads, an impossible resolution, or no surface at that level.
        MissingDependencyError: scikit-image is missing.
    """
    generator = source if isinstance(source, Generator) else source.generator
    check_head("extract_mesh", generator, head)
    tuned, planes = head_planes(generator, head)

    def report(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress("mesh", done, total)

    ws = head.latent.ws.to(tuned.device)
    return surface(tuned, planes, ws, resolution=resolution, level=level, on_progress=report)
