"""Finds data files inside installed packages without importing them, so that none of their code runs."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from ..errors import MissingDependencyError


def package_file(distribution: str, name: str, *, purpose: str, install: str) -> Path:
    """Path of the installed distribution's file whose path ends in `name`.

    Args:
        distribution: its name on PyPI.
        name: the last parts of the file's path, "/" between them.
        purpose: what needs it, for the error message.
        install: the pip requirement, for the error message.

    Raises:
        MissingDependencyError: the distribution is not installed, or lacks the file.
    """
    command = f"pip install {install}"
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError(
            f"{purpose} needs the file {name} from the package {distribution}, which is not installed. Run: {command}"
        ) from error
    for file in files:
        path = Path(str(file.locate()))
        if file.as_posix().endswith(name) and path.is_file():
            return path
    raise MissingDependencyError(
        f"{purpose} needs the file {name}, which the installed package {distribution} lacks. "
        f"Run: {command} --force-reinstall --no-deps"
    )
