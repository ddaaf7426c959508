"""Every error this package raises on purpose. The message says what was wrong, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ThreeDPSPError(Exception):
    """Base of all errors raised on purpose; the CLI prints its message and exits with `exit_code`."""

    exit_code = 1


class InputError(ThreeDPSPError):
    """A file or a value given by the user cannot be used."""

    exit_code = 2


class NoFaceError(InputError):
    """No usable face in a photo."""

    exit_code = 3


class OutputError(ThreeDPSPError):
    """A result could not be written (permissions, full disk)."""

    exit_code = 4


class MissingDependencyError(ThreeDPSPError):
    """An optional package or file is absent; the message names it, why it is needed, and the exact command."""

    exit_code = 5


class WeightsError(ThreeDPSPError):
    """A weights file is missing, damaged, or belongs to another network."""

    exit_code = 6


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Puts a file's name before the input and weights errors of the block, where it is not there yet."""
    try:
        yield
    except (InputError, WeightsError) as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error
