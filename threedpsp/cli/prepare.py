"""`threedpsp prepare`: aligned crops, cameras and the uncertainty of the flip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..errors import InputError, NoFaceError
from ..output import output_dir
from .command import SearchCommand
from .option_types import Count, InputPath, OutputPath, Pixels, Switch
from .photo_options import CropOptions
from .photos import face_choice, result_names
from .progress_bar import ProgressBar

if TYPE_CHECKING:
    from ..preprocessing.folder import FolderReport, PhotoReport

TABLE_ROWS = 40  # of photos that could not be used


@dataclass(frozen=True)
class Prepare(CropOptions, SearchCommand):
    """Align photos: crops, cameras, uncertainty of the flip.

    A photo gives crop.png, mirror_sigma.png and report.json in a folder of its name. A folder (with the folders in it)
    or a zip archive gives a data set as EG3D has them: a crop for each photo, dataset.json with their cameras,
    conf_map/, report.json; run again after a stop or a kill, it goes on where it was.

    Where some photos of a data set could not be used, the exit code is 3 if they show no face, 2 if they are unusable,
    1 if there are both kinds.
    """

    examples = (
        "threedpsp prepare me.jpg -o crops",
        "threedpsp prepare portraits/ -o dataset.zip --size 256 --mirrored-copies --workers 8",
    )

    photo: InputPath = None
    """A photo, or a folder or zip archive of photos. One with dataset.json is prepared already:
    its crops and cameras are kept, and what is missing of conf_map/ is added."""
    output: OutputPath = Path("output")
    """Folder for the results; for a data set also a name that ends in .zip."""
    face: Annotated[str, tyro.conf.arg(metavar="WHICH", aliases=["--faces"])] = "largest"
    """Which face where there are several: largest, or its number counted from the largest (0),
    or, for a data set, all."""
    size: Pixels = 512
    """Side of the crops."""
    border: Literal["black", "mirror"] = "black"
    """What lies beyond the photo's edges: black, as the published data have it, or the photo mirrored."""
    mirrored_copies: Switch = False
    """Also write a mirrored copy of every crop with its camera (name_mirror.png), as published for training."""
    workers: Count = 0
    """Processes that share a data set's work; 0: one for each CPU core, at most 16. The results are the same."""

    def run(self) -> int:
        """Prepares; returns 0 only if every photo could be used."""
        if self.photo is None:
            raise InputError("No photo given. Example: threedpsp prepare me.jpg -o crops")
        many = self.photo.is_dir() or self.photo.suffix.lower() == ".zip"
        return self._data_set(self.photo) if many else self._photo(self.photo)

    def _photo(self, photo: Path) -> int:
        face = face_choice(self.face)
        with output_dir(self.output) as output:
            from ..preprocessing.prepare import prepare_photo
            from ..results import write_crop
            from ..weights.systems import confidence_network, pose_network

            with self.waiting("prepare"):
                crop = prepare_photo(
                    photo,
                    face=face,
                    size=self.size,
                    border=self.border,
                    with_mirror_sigma=True,
                    sigma_backend=confidence_network(self.conf_map, self.weights_dirs),
                    deep3d=pose_network(self.pose, self.deep3d_weights, self.weights_dirs),
                )
            (name,) = result_names([photo])
            report = write_crop(output / name, crop, str(photo))
        camera = report["camera"]
        lines = [
            f"{photo}: yaw {camera['yaw_degrees']:+.1f}, pitch {camera['pitch_degrees']:+.1f} degrees",
            *(f"  note: {note}" for note in crop.notes),
            f"  crop: {output / name / 'crop.png'}",
        ]
        self.result("\n".join(lines), {"folder": str(output / name), **report})
        return 0

    def _data_set(self, photos: Path) -> int:
        from ..device import available_threads
        from ..preprocessing.folder import prepare_folder
        from ..weights.systems import confidence_network, pose_network

        bar = ProgressBar(self, "prepare")

        def on_photo(photo: PhotoReport, number: int, total: int) -> None:
            if photo.error is not None:
                self.say(f"error: {photo.source}: {photo.error}", always=True)
            bar(number, total)

        if self.workers < 0:
            raise InputError(f"--workers takes 0 (one for each CPU core) or more; got {self.workers}.")
        report = prepare_folder(
            photos,
            self.output,
            face="all" if self.face == "all" else face_choice(self.face),
            size=self.size,
            border=self.border,
            sigma_backend=confidence_network(self.conf_map, self.weights_dirs),
            deep3d=pose_network(self.pose, self.deep3d_weights, self.weights_dirs),
            mirrored_copies=self.mirrored_copies,
            workers=self.workers or min(available_threads(), 16),
            on_photo=on_photo,
        )
        if not report.photos:
            raise InputError(f"There are no photos in {photos}.")
        self.result(self._table(report), self._summary(report))
        codes = {NoFaceError.exit_code if p.kind == "NoFaceError" else InputError.exit_code for p in report.failed}
        return 0 if not codes else codes.pop() if len(codes) == 1 else 1

    def _table(self, report: FolderReport) -> str:
        """What became of the photos, one line for each that deserves a look."""
        done = len(report.photos) - len(report.failed)
        crops = sum(len(photo.crops) for photo in report.photos)
        no_face = sum(photo.kind == "NoFaceError" for photo in report.failed)
        lines = [f"{done} of {len(report.photos)} photos prepared ({report.kept} of them earlier): {self.output}"]
        counts = {
            "crops": crops,
            "no face": no_face,
            "unusable": len(report.failed) - no_face,
            "with notes": sum(bool(photo.notes) for photo in report.photos),
            "other files": len(report.ignored),
        }
        lines += [f"  {name:<12}{count:>8}" for name, count in counts.items() if count]
        width = min(max((len(photo.source) for photo in report.failed), default=0), 50)
        lines += [f"  {photo.source:<{width}}  {photo.error}" for photo in report.failed[:TABLE_ROWS]]
        if len(report.failed) > TABLE_ROWS:
            lines.append(f"  ... and {len(report.failed) - TABLE_ROWS} more, all in report.json")
        return "\n".join(lines)

    def _summary(self, report: FolderReport) -> dict[str, Any]:
        return {
            "folder": str(self.output),
            "prepared": [crop.name for photo in report.photos for crop in photo.crops],
            "kept": report.kept,
            "failures": [{"photo": photo.source, "error": photo.error, "kind": photo.kind} for photo in report.failed],
            "notes": {photo.source: list(photo.notes) for photo in report.photos if photo.notes},
            "ignored": list(report.ignored),
        }
