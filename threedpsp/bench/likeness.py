"""What updates of refining, and other ways to an instant likeness, make of photos that nobody learned from.

python -m threedpsp.bench.likeness prepared/ --updates 3 5 10 20 40 100
python -m threedpsp.bench.likeness prepared/ --updates 3 5 8 --descent descent.safetensors --branch branch.safetensors
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from ..encoder.inversion import resize_photo
from ..encoder.plane_descent import PlaneDescent, descend, descent_from_checkpoint
from ..encoder.refine import refine
from ..encoder.refine_config import HANDFUL, RefineConfig
from ..errors import ThreeDPSPError
from ..evaluation.photos import crop_of, photos_of
from ..evaluation.report import table_lines
from ..evaluation.scoring import Scorer
from ..export.images import to_uint8
from ..pipeline import Pipeline, load
from ..training.checkpoints import read_weights
from ..types import FaceCrop, Inversion

FIGURES = ("psnr", "st_lpips_alex", "st_lpips_vgg", "identity", "novel_identity")
"""Of each head: measures of `threedpsp evaluate`; the last is at 20 degrees to both sides."""
SIDES = 20.0


@dataclass(frozen=True)
class Options:
    """What is compared on which photos."""

    photos: tyro.conf.Positional[Path]
    """A folder that `threedpsp prepare` wrote, or of photos."""
    updates: tuple[int, ...] = (3, 5, 10, 20, 40, 100)
    """Updates of refining; up to five of them leave the generator's weights alone, as a first likeness does."""
    descent: tuple[Path, ...] = ()
    """Weights of learned descents (python -m threedpsp.training.descent_stage)."""
    branch: tuple[Path, ...] = ()
    """Weights of TriPlaneNet (threedpsp train --method triplanenet-v2)."""
    weights: str = "tiny"
    """The generator, with its encoder."""
    every: int = 1
    """Takes each photo, each second one, ..."""
    sheet: Path | None = None
    """A picture to write: a row for each of the first eight photos, and a column for the photo and each way."""


Way = Callable[[FaceCrop], Inversion]


def ways(options: Options, pipeline: Pipeline) -> dict[str, Way]:
    """From a photo to a head, by name; the loaded system alone goes first."""
    found: dict[str, Way] = {pipeline.encoder.method: partial(system, pipeline)}
    for count in options.updates:
        found[f"{count} updates"] = partial(updated, pipeline, count)
    for path in options.descent:
        network = descent_from_checkpoint(*read_weights(path)).to(pipeline.device)
        found[f"descent {path.parent.name}"] = partial(descended, pipeline, network)
    for path in options.branch:
        other = load(options.weights, encoder=path)
        found[f"{other.encoder.method} {path.parent.name}"] = partial(system, other)
    return found


def system(pipeline: Pipeline, crop: FaceCrop) -> Inversion:
    """A head by the loaded system alone."""
    return pipeline.invert(crop, likeness="none")


def updated(pipeline: Pipeline, count: int, crop: FaceCrop) -> Inversion:
    """The same after so many updates of refining."""
    config = RefineConfig(steps=count, tune_generator=count > HANDFUL)
    return refine(pipeline.generator, system(pipeline, crop), crop, config)


def descended(pipeline: Pipeline, network: PlaneDescent, crop: FaceCrop) -> Inversion:
    """The same after all steps of a learned descent."""
    head = system(pipeline, crop)
    generator, ws = pipeline.generator, head.latent.ws
    photo = resize_photo(crop.image, generator.config.img_resolution).to(pipeline.device)
    *_, last = descend(network, generator, generator.planes(ws), ws, head.camera, photo)
    return dataclasses.replace(head, plane_offset=last.offset, render=last.render)


def main(options: Options) -> int:
    """Prints a table with a row for each way: medians of the seconds from crop to head, means of the figures."""
    pipeline = load(options.weights)
    scorer = Scorer(pipeline.device, yaw_degrees=(), novel_yaw_degrees=SIDES)
    photos = photos_of(options.photos)[:: options.every]
    by_name = ways(options, pipeline)
    rows: dict[str, list[list[float]]] = {name: [] for name in by_name}
    pictures: list[np.ndarray] = []
    for number, photo in enumerate(photos):
        crop = crop_of(photo)
        shown = [resize_photo(crop.image, pipeline.generator.config.img_resolution)]
        for name, way in by_name.items():
            started = time.perf_counter()
            head = way(crop)
            seconds = time.perf_counter() - started
            scored = scorer.score(pipeline, head, crop)
            rows[name].append([seconds, *(scored.figures[figure] for figure in FIGURES)])
            shown += [scored.pictures[0], scored.pictures[-1]]
        pictures.append(np.concatenate([to_uint8(picture)[0] for picture in shown], 1))
        sys.stderr.write(f"{number + 1} of {len(photos)}\n")
        if options.sheet is not None and number < 8:
            Image.fromarray(np.concatenate(pictures)).save(options.sheet)
    sys.stdout.write("\n".join(_table(rows)) + "\n")
    return 0


def _table(rows: dict[str, list[list[float]]]) -> list[str]:
    headings = ["", "seconds", "PSNR", "ST-LPIPS Alex", "ST-LPIPS VGG", "identity", f"identity at +-{SIDES:.0f}"]
    lines = [headings]
    for name, values in rows.items():
        columns = list(zip(*values, strict=True))
        seconds, psnr = statistics.median(columns[0]), statistics.fmean(columns[1])
        lines.append([name, f"{seconds:.2f}", f"{psnr:.2f}", *(f"{statistics.fmean(c):.3f}" for c in columns[2:])])
    return table_lines(lines)


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Options, description=__doc__)))
    except ThreeDPSPError as error:
        sys.exit(f"error: {error}")
