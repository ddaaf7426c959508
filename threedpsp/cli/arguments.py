"""From the words of a command line to a command, or to help."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import tyro

from .command import PlainCommand
from .commands import COMMANDS, Group, Leaf
from .help_text import SHELLS, description, ending, group_help, top_help

HELP = ("-h", "--help")
EVERYWHERE = ("--json", "--quiet")
"""These may also stand before the command."""
USAGE_ERROR = 2
Chosen = TypeVar("Chosen", Leaf, Leaf | Group)


def parse_arguments(arguments: Sequence[str]) -> PlainCommand:
    """The command with its options.

    Raises:
        SystemExit: help was asked for (code 0), or the arguments are wrong (code 2).
    """
    words = _switches_last(list(arguments))
    if not words or words[0] in HELP:
        _show(top_help())
    if words[0] == "--version":
        from ..version import version

        _show(f"threedpsp {version()}")
    if words[0] == "--print-completion":
        _show_completion(words[1:])
    found = _chosen(COMMANDS, words, "threedpsp")
    name, words = words[0], _switches_last(words[1:])
    if isinstance(found, Leaf):
        return _leaf(found, f"threedpsp {name}", words)
    if words and words[0] in HELP:
        _show(group_help(name, found))
    leaf = _chosen(found.commands, words, f"threedpsp {name}")
    return _leaf(leaf, f"threedpsp {name} {words[0]}", words[1:])


def _leaf(leaf: Leaf, name: str, words: list[str]) -> PlainCommand:
    """The options of a command."""
    specific_first(leaf.options)
    if any(word in HELP for word in words):
        print(f"{description(leaf)}\n", flush=True)
    try:
        command: Any = tyro.cli(
            leaf.options,
            prog=name,
            description="",  # printed above: tyro would join its lines
            args=words,
            default=leaf.default,
            config=(tyro.conf.OmitArgPrefixes,),
        )
        return command
    except SystemExit as ended:
        if ended.code not in (0, None):
            _fail_json(words, "Wrong arguments; stderr says which.")
            raise SystemExit(USAGE_ERROR) from None
        _show("\n" + ending(leaf.options.examples))


def specific_first(options: type[PlainCommand]) -> None:
    """Orders the fields, and so the help: a command's own first, what all commands have last."""
    ancestors = options.__mro__

    def most_general_owner(name: str) -> int:
        return max(i for i, owner in enumerate(ancestors) if name in owner.__dict__.get("__dataclass_fields__", {}))

    fields = options.__dataclass_fields__
    options.__dataclass_fields__ = {name: fields[name] for name in sorted(fields, key=most_general_owner)}


def _chosen(commands: Mapping[str, Chosen], words: list[str], name: str) -> Chosen:
    """The command that the first word names."""
    if words and words[0] in commands:
        return commands[words[0]]
    if not words:
        problem = f"{name} needs a command after it: {', '.join(commands)}."
    elif words[0].startswith("-"):
        problem = f"{name} has no option '{words[0]}'; options of a command stand after it."
    else:
        near = difflib.get_close_matches(words[0], commands, n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(commands)}."
        problem = f"{name} has no command '{words[0]}'. {hint}"
    _fail(words, f"{problem} '{name} --help' explains them.")


def _switches_last(words: list[str]) -> list[str]:
    """`--json weights list` is `weights list --json`."""
    count = next((i for i, word in enumerate(words) if word not in EVERYWHERE), 0)
    return words[count:] + words[:count]


def _show_completion(words: list[str]) -> NoReturn:
    if len(words) != 1 or words[0] not in SHELLS:
        _fail(words, f"--print-completion takes one of {', '.join(SHELLS)}; got '{' '.join(words)}'.")
    from .completion import completion_script

    script = completion_script(words[0])
    if not script:
        _fail(words, f"The installed tyro makes no script for {words[0]}. Update it: pip install --upgrade tyro")
    _show(script)


def _show(text: str) -> NoReturn:
    print(text, flush=True)
    raise SystemExit(0)


def _fail(words: list[str], problem: str) -> NoReturn:
    print(f"error: {problem}", file=sys.stderr)
    _fail_json(words, problem)
    raise SystemExit(USAGE_ERROR)


def _fail_json(words: list[str], problem: str) -> None:
    if "--json" in words:
        print(json.dumps({"error": problem, "kind": "UsageError", "exit_code": USAGE_ERROR}), flush=True)
