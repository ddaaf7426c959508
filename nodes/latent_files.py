"""Where saved heads lie: ComfyUI's output folder (where Save Latent writes) and its input folder."""

from __future__ import annotations

import os
from pathlib import Path

SUFFIX = ".safetensors"
SUBFOLDER = "latents"
_OUTPUT = " [output]"


def saved_latents() -> list[str]:
    """Names as they are chosen in a widget: of the input folder, then of the output folder's `latents`."""
    import folder_paths

    names = [path.name for path in _files(Path(folder_paths.get_input_directory()))]
    folder = Path(folder_paths.get_output_directory())
    return names + [f"{path.relative_to(folder).as_posix()}{_OUTPUT}" for path in _files(folder / SUBFOLDER)]


def latent_path(name: str) -> Path:
    """Where a chosen file lies.

    Raises:
        InputError: it is not there, or the name leads out of ComfyUI's folders.
    """
    import folder_paths

    from .. import threedpsp

    output = name.endswith(_OUTPUT)
    folder = Path(folder_paths.get_output_directory() if output else folder_paths.get_input_directory())
    path = Path(os.path.abspath(folder / name.removesuffix(_OUTPUT)))
    if not path.is_relative_to(os.path.abspath(folder)) or not path.is_file():
        raise threedpsp.InputError(
            f"There is no saved latent '{name}'. Save one with Save Latent, or put it into {folder}, and refresh."
        )
    return path


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
