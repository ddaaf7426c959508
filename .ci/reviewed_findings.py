"""What the scanner nodesafe finds in our files, looked at by a person: where it may be, and why it is harmless there.

What can be said plainly without being found is said so; this is the rest. It is of two kinds: things that the pack does
do, and that a reader of the scanner's report should see (it starts a compiler, and calls what was compiled), and false
alarms. Anything that is not listed fails.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

Finding = dict[str, Any]
LONGEST_WORD = 60  # encoded payloads have no spaces; ordinary text and shapes do


class Reviewed(NamedTuple):
    """One kind of finding that is known: part of its title, the files it may be in, a closer look, and the reason."""

    title: str
    files: tuple[str, ...]
    reason: str
    holds: Callable[[Finding, Path], bool] = lambda finding, root: True


def _is_prose(finding: Finding, root: Path) -> bool:
    """Whether every text on the line is words and spaces, as encoded payloads never are, or addresses."""
    tree = ast.parse((root / finding["file"]).read_text())
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.lineno == finding["line"]
    ]
    words = [word for text in texts for word in text.split()]
    return bool(words) and all(len(word) <= LONGEST_WORD or word.startswith("https://") for word in words)


def _is_network(finding: Finding, root: Path) -> bool:
    """Whether it is the call that compiles a network, and not Python's own function of that name."""
    return finding["snippet"] == "network.compile()"


SYMBOLS = (
    "nodes/evaluate.py",
    "eg3d_kernels/_backend.py",
    "eg3d_kernels/build.py",
    "threedpsp/cli/evaluate.py",
    "threedpsp/cli/weights.py",
    "threedpsp/evaluation/*.py",
)
"""Files with messages that are short and full of names."""
REVIEWED = (
    Reviewed("high-entropy literal", ("threedpsp/weights/catalogue.py",), "addresses and licences", _is_prose),
    Reviewed("high-entropy literal", SYMBOLS, "messages in words", _is_prose),
    Reviewed("`compile(`", ("threedpsp/training/encoders/trainer.py",), "torch's Module.compile()", _is_network),
    Reviewed("subprocess.run", ("eg3d_kernels/build.py",), "compiles the kernels: a list of arguments, no shell"),
    Reviewed("subprocess.run", ("threedpsp/training/*/compare_published.py",), "times itself, no shell"),
    Reviewed("subprocess.run", ("threedpsp/bench/compare.py",), "times itself in fresh processes, no shell"),
    Reviewed("os.execv", ("threedpsp/cli/allocator.py",), "the command starts itself again, with other settings"),
    Reviewed("`ctypes`", ("eg3d_kernels/*",), "calls the compiled kernels"),
    Reviewed("Dynamic `getattr`", ("eg3d_kernels/_backend.py",), "the compiled kernels by their names"),
    Reviewed("`tyro` ≈ `furo`", ("requirements.txt",), "tyro is what we mean"),
    Reviewed("`jupytext` ≈ `jupyter`", ("pyproject.toml",), "jupytext is what we mean"),
    Reviewed("`ninja` ≈ `jinja2`", ("requirements.txt",), "ninja is what we mean"),
    Reviewed("Aggregate heuristic risk score", ("",), "a sum of the above"),
)


def review_of(finding: Finding, root: Path) -> Reviewed | None:
    """The first entry that knows the finding; None if it is new."""
    name = finding.get("file") or ""
    for entry in REVIEWED:
        if entry.title in finding["title"] and any(fnmatch(name, pattern) for pattern in entry.files):
            if entry.holds(finding, root):
                return entry
    return None
