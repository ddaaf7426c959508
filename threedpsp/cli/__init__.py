"""The command `threedpsp`. Options are frozen dataclasses; the work is done by the package, not here."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from ..errors import MissingDependencyError, ThreeDPSPError
from ..output import output_error
from .allocator import restart_with_tuned_allocator
from .check import Check
from .command import PlainCommand
from .demo import Demo
from .evaluate import Evaluate
from .invert import Invert
from .mesh import Mesh
from .prepare import Prepare
from .render import Render
from .train import Train
from .train_tiny import TrainTiny
from .weights import Weights

COMMANDS: dict[str, Callable[..., PlainCommand | Weights | Train]] = {
    "demo": Demo,
    "prepare": Prepare,
    "invert": Invert,
    "render": Render,
    "mesh": Mesh,
    "evaluate": Evaluate,
    "check": Check,
    "train": Train,
    "train-tiny": TrainTiny,
    "weights": Weights,
}

DESCRIPTION = """One face photo in, a turning 3-D head out.

Exit codes: 0 done; 2 unusable input; 3 no face; 4 results could not be written; 5 something is not installed;
6 a problem with a weights file; 1 anything else, or failures of several kinds in a batch.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code. Messages go to stderr, results to stdout."""
    if arguments is None:
        restart_with_tuned_allocator()
    command = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        return command.run()
    except ThreeDPSPError as error:
        return command.fail(error)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        return command.fail(output_error(error.filename or "the results", error))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def parse(arguments: Sequence[str]) -> PlainCommand:
    """The command with its options; prints help or a usage error and exits where there is none."""
    try:
        import tyro
    except ImportError as error:
        missing = MissingDependencyError("The command line needs the package tyro, which is missing: pip install tyro")
        print(f"error: {missing}", file=sys.stderr)
        raise SystemExit(missing.exit_code) from error
    command = tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        prog="threedpsp",
        description=DESCRIPTION,
        args=list(arguments),
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )
    return command.action if isinstance(command, Weights | Train) else command
