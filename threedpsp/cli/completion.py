"""Shell completion: all commands as one type, from which tyro makes the script."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import make_dataclass
from typing import Annotated, Any, Union

import tyro

from .commands import COMMANDS, Group, Leaf


def completion_script(shell: str) -> str:
    """What a shell needs to complete the words of the command.

    Args:
        shell: one of `SHELLS`.

    Returns:
        The script; empty where the installed tyro cannot make it.
    """
    if shell == "tcsh":  # tyro has none of its own
        return _tcsh()
    printed = io.StringIO()
    with redirect_stdout(printed), suppress(SystemExit, AssertionError):
        tyro.cli(
            _choice(COMMANDS),
            prog="threedpsp",
            args=["--tyro-print-completion", shell],
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
        )
    return printed.getvalue()


def _choice(commands: Mapping[str, Leaf | Group]) -> Any:
    """One of the commands, as a type."""
    kinds: list[Any] = []
    for name, command in commands.items():
        if isinstance(command, Group):
            kind: Any = make_dataclass(name, [("command", _choice(command.commands))])
            kinds.append(Annotated[kind, tyro.conf.subcommand(name, description=command.line)])
        elif command.default is None:
            kinds.append(Annotated[command.options, tyro.conf.subcommand(name, description=command.line)])
        else:
            given = tyro.conf.subcommand(name, default=command.default, description=command.line)
            kinds.append(Annotated[command.options, given])
    return Union[tuple(kinds)]  # noqa: UP007 -- made at run time


def _tcsh() -> str:
    """Commands, the commands of groups, and else files."""
    groups = [(name, group.commands) for name, group in COMMANDS.items() if isinstance(group, Group)]
    rules = [f"'p/1/({' '.join(COMMANDS)})/'", *(f"'n/{name}/({' '.join(words)})/'" for name, words in groups)]
    return f"complete threedpsp {' '.join(rules)} 'p/*/f/'\n"
