"""ComfyUI's model folders: where weights are looked for, and which are there."""

from __future__ import annotations

import os
from pathlib import Path

FOLDERS = ("threedpsp", "eg3d")
SUFFIXES = (".safetensors", ".pkl", ".pt", ".pth")


def register_model_folders() -> None:
    """Adds models/threedpsp and models/eg3d to ComfyUI's folders, after those of extra_model_paths.yaml."""
    import folder_paths

    for name in FOLDERS:
        folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name))


def weights_folders() -> list[Path]:
    """Every folder in which weights may lie, the user's own first."""
    import folder_paths

    register_model_folders()
    return [Path(folder) for name in FOLDERS for folder in folder_paths.get_folder_paths(name)]


def weights_files() -> list[str]:
    """Names of the weights files in these folders, as they are chosen in a widget (with / between folders)."""
    found: dict[str, None] = {}
    for folder in weights_folders():
        if folder.is_dir():
            for path in sorted(folder.rglob("*")):
                if path.suffix.lower() in SUFFIXES and path.is_file():
                    found[path.relative_to(folder).as_posix()] = None
    return list(found)


def full_path(name: str) -> Path | None:
    """Where a file chosen in a widget lies; None: it is gone, or the name leads out of the folders."""
    for folder in weights_folders():
        path = Path(os.path.abspath(folder / name))  # not resolved: models folders are often full of links
        if path.is_relative_to(os.path.abspath(folder)) and path.is_file():
            return path
    return None
