"""What the scanner nodesafe finds in our files, looked at by a person: where it may be, and why it is harmless there.

nodesafe compares text: it calls torch's `network.eval()` code execution, and every docstring of forty characters a
possible payload. Its verdict is "suspicious" as soon as it finds anything at all; so we fix what can be fixed, list the
rest here, and fail on anything that is not listed.
"""

from __future__ import annotations

import ast
import re
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


def _has_not(pattern: str) -> Callable[[Finding, Path], bool]:
    return lambda finding, root: not re.search(pattern, finding["snippet"])


REVIEWED = (
    Reviewed("high-entropy literal", ("*.py",), "docstrings, messages and tables, in words", _is_prose),
    Reviewed("`eval(`", ("threedpsp/*",), "torch's Module.eval()", _has_not(r"(?<!\.)\beval\(")),
    Reviewed("`compile(`", ("threedpsp/*",), "re.compile(), Module.compile()", _has_not(r"(?<!\.)\bcompile\(")),
    Reviewed("`importlib.import_module`", ("threedpsp/__init__.py",), "imports our public names at their first use"),
    Reviewed("`globals()[`", ("threedpsp/__init__.py",), "remembers them"),
    Reviewed("`importlib.import_module`", ("threedpsp/kernels.py",), "finds eg3d_kernels beside us or installed"),
    Reviewed("`importlib.import_module`", ("threedpsp/preprocessing/photo.py",), "pillow_heif, where installed"),
    Reviewed("subprocess.run", ("eg3d_kernels/build.py",), "compiles the kernels: a list of arguments, no shell"),
    Reviewed("subprocess.run", ("threedpsp/training/*/compare_published.py",), "times itself, no shell"),
    Reviewed("subprocess.run", ("threedpsp/bench/compare.py",), "times itself in fresh processes, no shell"),
    Reviewed("os.execv", ("threedpsp/cli/allocator.py",), "the command starts itself again, with other settings"),
    Reviewed("`platform.machine`", ("eg3d_kernels/build.py",), "part of the compiled kernels' cache key"),
    Reviewed("`ctypes`", ("eg3d_kernels/*",), "calls the compiled kernels"),
    Reviewed("`urllib.request.Request`", ("threedpsp/weights/download.py",), "the command 'weights get', asked for"),
    Reviewed("`codecs.encode`", ("threedpsp/weights/*",), "a name in pickles, read as data by our own reader"),
    Reviewed("`ord(`", ("threedpsp/weights/tensor_refs.py",), "checks that text is Latin-1"),
    Reviewed("Dynamic `getattr`", ("threedpsp/*", "eg3d_kernels/_backend.py"), "fields named in our own lists"),
    Reviewed("suspicious identifier '_", ("*.py",), "a value that is not used, or a module's own constant"),
    Reviewed("`lambda _:`", ("threedpsp/training/*",), "a report that nobody reads"),
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
