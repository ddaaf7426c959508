"""The published code starts processes and calls native code in a few places, all of them listed here.

A scanner that looks for such calls by their usual spelling sees only some of them; this reads the imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ("threedpsp", "eg3d_kernels", "nodes")
REACHES_THE_SYSTEM = {"subprocess", "ctypes", "cffi", "pty", "multiprocessing", "runpy", "code", "pickle", "marshal"}
STARTS_A_PROCESS = ("system", "popen", "exec", "spawn", "posix_spawn", "fork", "startfile")
ALLOWED = {
    "eg3d_kernels/build.py": {"subprocess"},  # the compiler and ninja: lists of arguments, no shell
    "eg3d_kernels/_backend.py": {"cffi"},  # calls what was compiled
    "threedpsp/allocator.py": {"cffi"},  # tells glibc to keep freed memory
    "threedpsp/preprocessing/workers.py": {"multiprocessing", "multiprocessing.connection"},  # photos, several at once
    "threedpsp/bench/compare.py": {"subprocess"},  # measures itself in fresh processes
    "threedpsp/bench/busy.py": {"subprocess"},  # likewise, beside others
    "threedpsp/training/encoders/compare_published.py": {"subprocess"},  # likewise
}


def reached(tree: ast.AST) -> Iterator[str]:
    """Modules and functions of the list above that a module imports or names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in REACHES_THE_SYSTEM)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            if (node.module or "").partition(".")[0] in REACHES_THE_SYSTEM:
                yield node.module or ""
            if node.module == "os":
                yield from (f"os.{a.name}" for a in node.names if a.name.startswith(STARTS_A_PROCESS))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            if node.attr.startswith(STARTS_A_PROCESS):
                yield f"os.{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("eval", "exec", "compile", "__import__"):
                yield node.func.id


@pytest.mark.parametrize("package", PUBLISHED)
def test_processes_and_native_code_are_reached_only_where_listed(package: str):
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        if names := set(reached(ast.parse(path.read_text(encoding="utf-8")))):
            found[path.relative_to(ROOT).as_posix()] = names
    assert found == {name: names for name, names in ALLOWED.items() if name.startswith(package + "/")}


@pytest.mark.parametrize(
    "code", ["from subprocess import run", "import os; os.system(x)", "from os import execve", "eval(x)", "import cffi"]
)
def test_other_spellings_are_found(code: str):
    assert list(reached(ast.parse(code)))
