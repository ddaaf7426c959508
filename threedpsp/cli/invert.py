"""`threedpsp invert`: photos to heads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..errors import OutputError, ThreeDPSPError
from ..output import output_dir
from .photo_options import PhotoCommand
from .photos import face_choice, find_photos, result_names

if TYPE_CHECKING:
    from ..preprocessing.prepared_folder import PreparedPhoto


@dataclass(frozen=True)
class Invert(PhotoCommand):
    """Turn photos into heads.

    Each photo gets a folder with crop.png, sheet.png, turntable.mp4, latent.safetensors and report.json. A photo that
    cannot be used is reported, and the others go on; the exit code is then not 0.
    """

    examples = (
        "threedpsp invert me.jpg -o output",
        "threedpsp invert holiday/ grandma.png -o output --no-refine --path ellipse --frames 96",
        "threedpsp invert me.jpg --json --quiet",
    )

    photos: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO ...", help_behavior_hint="")
    ] = ()
    """Photos, or folders of photos. A folder with dataset.json
    (crops and their cameras, as EG3D, 3DpSp and threedpsp prepare make them) is taken as it is."""
    face: Annotated[str, tyro.conf.arg(metavar="WHICH")] = "largest"
    """Which face where there are several: largest, or its number counted from the largest (0)."""

    def run(self) -> int:
        """Works through the photos; returns 0 only if all could be used."""
        photos = find_photos(self.photos, self.say)
        face = face_choice(self.face)
        self.check()
        with output_dir(self.output) as output:
            from ..results import photo_to_results

            pipeline = self.load(self.method)
            reports: list[dict[str, Any]] = []
            failures: list[tuple[Path | PreparedPhoto, ThreeDPSPError]] = []
            for number, (photo, name) in enumerate(zip(photos, result_names(photos), strict=True), 1):
                if len(photos) > 1:
                    self.say(f"[{number}/{len(photos)}] {photo}")
                try:
                    report = photo_to_results(
                        pipeline, photo, output / name, name=str(photo), face=face, **self.processing()
                    )
                except OutputError:
                    raise  # the next photo could not be written either
                except ThreeDPSPError as error:
                    failures.append((photo, error))
                    self.say(f"error: {photo}: {error}", always=True)
                    continue
                reports.append({"folder": str(output / name), **report})
                if not self.json:
                    self.result(self.summary(output / name, report), report)
        return self._finish(reports, failures)

    def _finish(
        self, reports: list[dict[str, Any]], failures: list[tuple[Path | PreparedPhoto, ThreeDPSPError]]
    ) -> int:
        """Prints the closing words; the exit code tells what kind of failure there was."""
        if self.json:
            failed = [
                {"photo": str(photo), "error": str(error), "kind": type(error).__name__} for photo, error in failures
            ]
            self.result("", {"results": reports, "failures": failed})
        if not failures:
            return 0
        if len(reports) + len(failures) > 1:
            names = ", ".join(photo.name for photo, _ in failures)
            self.say(f"{len(reports)} done, {len(failures)} failed: {names}", always=True)
        codes = {error.exit_code for _, error in failures}
        return codes.pop() if len(codes) == 1 else 1
