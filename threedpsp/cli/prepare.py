"""`threedpsp prepare`: aligned crops, cameras and the uncertainty of the flip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..errors import InputError
from ..output import output_dir
from .command import SearchCommand
from .photo_options import CropOptions
from .photos import face_choice, result_names

if TYPE_CHECKING:
    from ..preprocessing.folder import FolderReport, PhotoReport


@dataclass(frozen=True)
class Prepare(CropOptions, SearchCommand):
    """Align a photo, or every photo of a folder.

    A photo gives crop.png, mirror_sigma.png and report.json in <output>/<its name>/. A folder gives a data set as EG3D
    has them in <output>: a crop for each photo, dataset.json with their cameras, conf_map/, report.json; run again
    after a stop, it goes on where it was.

    Examples: threedpsp prepare me.jpg -o crops
              threedpsp prepare portraits/ -o dataset --size 256 --border mirror
    """

    photo: Annotated[Path | None, tyro.conf.Positional] = None
    """A photo, or a folder of photos. A folder with dataset.json is prepared already: its crops and cameras are kept,
    and what is missing of conf_map/ is added."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("output")
    """Folder for the results."""
    face: str = "largest"
    """Which face where there are several: largest, or its number counted from the largest (0)."""
    size: int = 512
    """Side of the crops in pixels."""
    border: Literal["black", "mirror"] = "black"
    """What lies beyond the photo's edges: black, as the published data have it, or the photo mirrored."""

    def run(self) -> int:
        """Prepares; returns 0 only if every photo could be used."""
        if self.photo is None:
            raise InputError("No photo given. Example: threedpsp prepare me.jpg -o crops")
        return self._folder(self.photo) if self.photo.is_dir() else self._photo(self.photo)

    def _photo(self, photo: Path) -> int:
        face = face_choice(self.face)
        with output_dir(self.output) as output:
            from ..preprocessing.prepare import prepare_photo
            from ..results import write_crop
            from ..weights.systems import confidence_network, pose_network

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

    def _folder(self, photos: Path) -> int:
        from ..preprocessing.folder import prepare_folder
        from ..weights.systems import confidence_network, pose_network

        report = prepare_folder(
            photos,
            self.output,
            face=face_choice(self.face),
            size=self.size,
            border=self.border,
            sigma_backend=confidence_network(self.conf_map, self.weights_dirs),
            deep3d=pose_network(self.pose, self.deep3d_weights, self.weights_dirs),
            on_photo=self._on_photo,
        )
        if not report.photos:
            raise InputError(f"There are no photos in the folder {photos}.")
        done = len(report.photos) - len(report.failed)
        text = f"{done} of {len(report.photos)} photos prepared ({report.kept} of them earlier): {self.output}"
        self.result(text, self._summary(report))
        return InputError.exit_code if report.failed else 0

    def _on_photo(self, photo: PhotoReport, number: int, total: int) -> None:
        if photo.error is not None:
            self.say(f"error: {photo.source}: {photo.error}", always=True)
        elif number % 20 == 0 or number == total:
            self.say(f"prepare {number}/{total}")

    def _summary(self, report: FolderReport) -> dict[str, Any]:
        return {
            "folder": str(self.output),
            "prepared": [photo.output for photo in report.photos if photo.output],
            "failures": [{"photo": photo.source, "error": photo.error} for photo in report.failed],
            "ignored": list(report.ignored),
        }
