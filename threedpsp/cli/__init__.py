"""The command `threedpsp`. Options are frozen dataclasses; the work is done by the package, not here.

This file imports next to nothing, so that Ctrl-C is heard from the start.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .command import PlainCommand


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code. Messages go to stderr, results to stdout."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if arguments is None:
            _print_whatever_the_console_can()
        return _run(parse(words))
    except BrokenPipeError:
        _drop_unread_output()
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def parse(arguments: Sequence[str]) -> PlainCommand:
    """The command with its options; prints help or a usage error and exits where there is none.

    Raises:
        SystemExit: help was asked for (code 0), or the arguments are wrong (code 2).
    """
    if os.environ.get("NO_COLOR"):
        os.environ["PYTHON_TYRO_ANSI_CODES"] = "False"  # read when tyro is imported
    try:
        from .arguments import parse_arguments
    except ImportError as error:
        if error.name != "tyro":
            raise
        from ..errors import MissingDependencyError

        missing = MissingDependencyError("The command line needs the package tyro, which is missing: pip install tyro")
        print(f"error: {missing}", file=sys.stderr)
        raise SystemExit(missing.exit_code) from error
    return parse_arguments(arguments)


def _run(command: PlainCommand) -> int:
    """Runs it; errors made on purpose and Ctrl-C are explained in one line."""
    from ..errors import ThreeDPSPError

    try:
        return command.run()
    except ThreeDPSPError as error:
        return command.fail(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        from ..output import output_error

        return command.fail(output_error(error.filename or "the results", error))
    except KeyboardInterrupt:
        return command.stopped()


def _print_whatever_the_console_can() -> None:
    """Characters that the console's encoding lacks are written as escapes, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _drop_unread_output() -> None:
    """Nobody reads any more (`threedpsp ... | head`): what is left goes nowhere, also at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
