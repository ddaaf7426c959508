"""What stands in help besides the options, fitted to the terminal's width."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Iterable, Mapping

from ..version import version
from .commands import SECTIONS, Group, Leaf

EXIT_CODES = {
    0: "done",
    1: "anything else, or failures of several kinds in one run",
    2: "wrong arguments, or an input that cannot be used",
    3: "no face found",
    4: "results could not be written",
    5: "a package is not installed",
    6: "a problem with a weights file",
    130: "stopped with Ctrl-C",
}
"""The same for all commands."""
SHELLS = ("bash", "zsh", "fish", "tcsh")
EXAMPLES = (
    "threedpsp demo -o output",
    "threedpsp invert me.jpg -o output",
    "threedpsp render output/me/latent.safetensors --path ellipse -o me.mp4",
)
OPTIONS = {
    "-h, --help": "show this help, or that of a command",
    "--version": "show the version",
    "--print-completion SHELL": f"print a script that completes words ({', '.join(SHELLS)})",
}
SWITCHES = "--json for scripts, which puts one object on stdout, all else on stderr; and --quiet, for no progress"
COMPLETION = {
    "bash": "threedpsp --print-completion bash > ~/.local/share/bash-completion/completions/threedpsp",
    "zsh": "threedpsp --print-completion zsh > ~/.zfunc/_threedpsp",
    "fish": "threedpsp --print-completion fish > ~/.config/fish/completions/threedpsp.fish",
    "tcsh": "threedpsp --print-completion tcsh > ~/.threedpsp.tcsh, and source that",
}


def top_help() -> str:
    """The help of the command without a further word."""
    parts = [
        _fitted(f"One face photo in, a turning 3-D head out. Version {version()}."),
        "usage: threedpsp COMMAND [OPTIONS]",
        *(_table(title, {n: c.line for n, c in commands.items()}) for title, commands in SECTIONS.items()),
        _table("Options", OPTIONS),
        _fitted(
            f"Every command has --help with its options, units, defaults and examples; {SWITCHES}. "
            "Colours are off where NO_COLOR is set."
        ),
        _table("Completion with the Tab key", COMPLETION),
        ending(EXAMPLES),
    ]
    return "\n\n".join(parts)


def group_help(name: str, group: Group) -> str:
    """The help of a command that has commands."""
    parts = [
        _fitted(group.line),
        f"usage: threedpsp {name} COMMAND [OPTIONS]",
        _table("Commands", {word: leaf.line for word, leaf in group.commands.items()}),
        _fitted(f"'threedpsp {name} COMMAND --help' shows the options of a command."),
        ending(group.examples),
    ]
    return "\n\n".join(parts)


def description(leaf: Leaf) -> str:
    """What a command does: its summary and the paragraphs of its class, as wide as the terminal."""
    first, *others = inspect.cleandoc(leaf.options.__doc__ or "").split("\n\n")
    paragraphs = [leaf.line, *([first] if leaf.summary else []), *others]
    return "\n\n".join(_fitted(" ".join(paragraph.split())) for paragraph in paragraphs)


def ending(examples: Iterable[str]) -> str:
    """Examples and exit codes, the end of every help."""
    lines = ["Examples:", *(line for example in examples for line in _command(example))]
    return "\n".join(lines) + "\n\n" + _table("Exit codes", {str(code): text for code, text in EXIT_CODES.items()})


def _width() -> int:
    return min(max(shutil.get_terminal_size().columns, 40), 120)


def _fitted(text: str, indent: str = "", first: str | None = None) -> str:
    return textwrap.fill(
        text,
        _width(),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _table(title: str, rows: Mapping[str, str]) -> str:
    """A heading, and rows of a word and what it means."""
    column = max(map(len, rows)) + 4
    lines = [_fitted(text, " " * column, f"  {word}".ljust(column)) for word, text in rows.items()]
    return "\n".join([f"{title}:", *lines])


def _command(example: str) -> list[str]:
    """An example, which can be copied: a line that is too long goes on after a backslash."""
    lines = textwrap.wrap(
        example,
        _width() - 2,
        initial_indent="  ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]
