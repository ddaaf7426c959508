"""Which files a command was given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from ..preprocessing.prepared_folder import PreparedPhoto


def find_photos(given: Sequence[Path], say: Callable[[str], None] | None = None) -> list[Path | PreparedPhoto]:
    """The files given, and the photos in the folders given (sorted, not deeper).

    A folder with a dataset.json is prepared already: its crops come with their cameras.

    Args:
        given: files and folders.
        say: told about the folders that are prepared already.

    Raises:
        InputError: nothing given, a path that does not exist, a folder without photos, a damaged dataset.json.
    """
    if not given:
        raise InputError("No photo given. Example: threedpsp invert me.jpg -o output")
    photos: list[Path | PreparedPhoto] = []
    for path in given:
        if (path / "dataset.json").is_file():
            photos += _prepared_inside(path, say)
        elif path.is_dir():
            inside = _photos_inside(path)
            if not inside:
                raise InputError(f"No photos in the folder {path}.")
            photos += inside
        elif path.exists():
            photos.append(path)
        elif len(given) == 1:
            raise InputError(f"There is no file {path}.")
        else:
            photos.append(path)  # reported in its turn, so that the others go on
    return photos


def result_names(photos: Sequence[Path | PreparedPhoto]) -> list[str]:
    """A folder name for each photo: its own name without the ending, numbered where it comes again."""
    names: list[str] = []
    for photo in photos:
        base = name = Path(str(photo)).stem or "photo"
        count = 1
        while name.lower() in {other.lower() for other in names}:
            count += 1
            name = f"{base}-{count}"
        names.append(name)
    return names


def face_choice(text: str) -> Any:
    """The option as the core takes it.

    Raises:
        InputError: neither a number nor "largest".
    """
    if text == "largest":
        return "largest"
    if not text.isdigit():
        raise InputError(f"--face takes 'largest' or a number counted from the largest (0); got '{text}'.")
    return int(text)


def _photos_inside(folder: Path) -> list[Path]:
    """Files with the ending of a photo, sorted."""
    from ..preprocessing.folder import PHOTO_SUFFIXES  # here, because it brings torch with it

    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES and not p.name.startswith("."))


def _prepared_inside(folder: Path, say: Callable[[str], None] | None) -> Sequence[PreparedPhoto]:
    """The crops of a prepared folder."""
    from ..preprocessing.folder import PHOTO_SUFFIXES
    from ..preprocessing.prepared_folder import read_prepared

    prepared = read_prepared(folder, PHOTO_SUFFIXES)
    if not prepared.photos:
        raise InputError(f"The dataset.json in {folder} names no photos, and there are none.")
    if say is not None:
        left_out = f"; {len(prepared.mirrored)} mirrored copies are left out" if prepared.mirrored else ""
        say(f"{folder} is prepared already: cameras come from its dataset.json, nothing is aligned again{left_out}.")
    return prepared.photos
