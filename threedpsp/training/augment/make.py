"""Makes people who do not exist from those of a bundle, and writes them as another one.

    python -m threedpsp.training.augment.make --people train.safetensors --count 2000 --output made.safetensors

Seed and number alone decide what a person is, so the first ones of a longer list are the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from ...camera import Camera
from ...errors import InputError
from ...output import atomic_write
from ..mesh_paint import depth_maps
from ..portraits import LARGE_SIDE, QUALITY, SIDE, PortraitSet
from .morph import Canvas, blended_mesh, morphed, posed
from .occluders import with_glasses, with_occluder
from .people import Person, Traits, person
from .plan import Mix, Plan, draw_plan
from .regions import face_parts
from .scene import lit, with_backdrop

USUAL = Mix()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Maker:
    """Makes people by number.

    people: whom they are made of; their pictures may be larger than 256 pixels. traits: of these.
    """

    people: PortraitSet
    traits: Traits
    canvas: Canvas
    seed: int
    mix: Mix

    @staticmethod
    def of(people: PortraitSet, seed: int, mix: Mix, hosts_only: Collection[str] = ()) -> Maker:
        """From people; the features of those named in `hosts_only` are not lent to others."""
        unknown = set(hosts_only) - set(people.names)
        if unknown:
            raise InputError(f"Nobody is called {', '.join(sorted(unknown))}. A name is like {people.names[0]}.")
        mean, triangles = people.mesh.mean(0).numpy(), people.triangles.numpy()
        canvas = Canvas(triangles, mean, face_parts(mean, triangles))
        traits = Traits.of(people)
        traits.covered[[name in hosts_only for name in people.names]] = np.inf
        return Maker(people, traits, canvas, seed, mix)

    def plan(self, number: int) -> Plan:
        """What is drawn at random for a number."""
        return draw_plan(self.traits, self.people.large.numpy(), self.seed, number, self.mix)

    def make(self, number: int) -> Person:
        """The person of this number; the picture has 256 pixels a side."""
        plan = self.plan(number)
        random = np.random.default_rng(plan.seed)
        host = person(self.people, plan.host, plan.mirrored)
        donors = [person(self.people, *donor) for donor in plan.donors]
        meshes = np.stack([p.mesh for p in (host, *donors)])
        face = posed(blended_mesh(meshes, plan.shapes, plan.change, self.canvas), host)
        made = morphed(host, donors, plan.colours, face, plan.tone, self.canvas)
        if plan.backdrop is not None:
            other = person(self.people, plan.backdrop, plan.backdrop_mirrored)
            made = with_backdrop(made, other, float(random.uniform(0.004, 0.03)))
        if plan.glasses:
            made = with_glasses(made, random)
        if plan.occluder:
            made = with_occluder(made, random)
        if plan.light is not None:
            made = lit(made, *plan.light, self.canvas.triangles)
        return replace(made, name=f"made/{self.seed}_{number:05d}")


def as_set(made: list[Person], people: PortraitSet) -> PortraitSet:
    """Made people as a set like the one that they come from."""
    landmarks = torch.from_numpy(np.stack([p.points for p in made])) * SIDE
    mesh = torch.from_numpy(np.stack([p.mesh for p in made]))
    camera = Camera.cat([p.camera for p in made])
    return PortraitSet(
        image=torch.from_numpy(np.stack([_bytes(p.picture) for p in made])).permute(0, 3, 1, 2),
        mask=torch.from_numpy(np.stack([_bytes(p.mask) for p in made])),
        label=camera.label,
        landmarks=landmarks,
        mesh=mesh,
        depth=depth_maps(landmarks / SIDE, mesh, camera, people.triangles),
        source_side=torch.tensor([p.source_side for p in made]),
        names=tuple(p.name for p in made),
        mirror_points=people.mirror_points,
        triangles=people.triangles,
    )


def _bytes(values: np.ndarray) -> np.ndarray:
    return (values * 255).round().astype(np.uint8)


def contact_sheet(people: PortraitSet, columns: int, side: int = 192) -> Image.Image:
    """Pictures side by side."""
    rows = -(-len(people) // columns)
    sheet = Image.new("RGB", (columns * side, rows * side))
    for i, image in enumerate(people.image):
        tile = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(tile, (i % columns * side, i // columns * side))
    return sheet


def main(
    people: Path,
    output: Path | None = None,
    sheet: Path | None = None,
    count: int = 2000,
    seed: int = 0,
    quality: int = QUALITY,
    hosts_only: tuple[str, ...] = (),
    mix: Mix = USUAL,
) -> None:
    """Make people who do not exist.

    Args:
        people: a bundle of photos, as `python -m threedpsp.training.portraits` writes.
        output: bundle to write.
        sheet: picture of all of them to write; with --count 64, 8 by 8.
        count: how many.
        seed: decides who they are.
        quality: of the stored pictures as WebP, 1 to 100.
        hosts_only: names of people whose features are not lent, because hair or a hand is before their face (most
            such people are found without this).
        mix: how often what happens.
    """
    if output is None and sheet is None:
        raise InputError("Nothing to write: give --output FILE.safetensors, or --sheet FILE.png, or both.")
    torch.set_num_threads(1)
    maker = Maker.of(PortraitSet.load(people, LARGE_SIDE), seed, mix, hosts_only)
    started = time.monotonic()
    made = []
    for number in range(count):
        made.append(maker.make(number))
        if (number + 1) % 100 == 0:
            log.info("%d of %d, %.1f a second", number + 1, count, (number + 1) / (time.monotonic() - started))
    result = as_set(made, maker.people)
    if sheet is not None:
        with atomic_write(sheet) as temporary:
            contact_sheet(result, max(round(count**0.5), 1)).save(temporary, "PNG")
    if output is not None:
        result.save(output, quality=quality)
        log.info("%d people -> %s, %.1f MiB", count, output, output.stat().st_size / 2**20)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tyro.cli(main, description=__doc__)
