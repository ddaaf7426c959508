"""The photos of the workflows, offered in ComfyUI's input folder, where Load Image finds them."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

EXAMPLES = Path(__file__).with_name("example_photos")


def offer_example_photos() -> None:
    """Copies each example that is not there yet; a folder that cannot be written is no error."""
    import folder_paths

    folder = Path(folder_paths.get_input_directory())
    for photo in sorted(EXAMPLES.glob("*.jpg")):
        target = folder / photo.name
        if target.exists():
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".part")
            shutil.copyfile(photo, partial)
            partial.replace(target)
        except OSError as error:
            logging.getLogger(__name__).info("The example photo %s was not copied to %s: %s", photo.name, folder, error)
