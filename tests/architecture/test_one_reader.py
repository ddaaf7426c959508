"""Files of torch are read in one place, which checks them first; nothing else unpickles."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(p for package in ("threedpsp", "eg3d_kernels", "nodes") for p in (ROOT / package).rglob("*.py"))
READER = "threedpsp/weights/torch_file.py"
UNPICKLERS = {("torch", "load"), ("pickle", "load"), ("pickle", "loads"), ("pickle", "Unpickler"), ("jit", "load")}
MODULES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}


def unpickling(source: str) -> list[str]:
    """The places in a file that could unpickle something."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            base = node.value
            owner = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
            if (owner, node.attr) in UNPICKLERS:
                found.append(f"{node.lineno}: {owner}.{node.attr}")
        elif isinstance(node, ast.Import):
            found += [f"{node.lineno}: {a.name}" for a in node.names if a.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            if (node.module or "").split(".")[0] in MODULES:
                found.append(f"{node.lineno}: {node.module}")
            elif node.module == "torch":
                found += [f"{node.lineno}: torch.{a.name}" for a in node.names if a.name == "load"]
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                found.append(f"{node.value.lineno}: allow_pickle")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_guarded_reader_loads_torch_files(path: Path):
    found = unpickling(path.read_text(encoding="utf-8"))
    if path.relative_to(ROOT).as_posix() == READER:
        assert [place.split(": ")[1] for place in found] == ["torch.load"]
    else:
        assert not found


@pytest.mark.parametrize(
    "source", ["torch.load(a)", "import pickle", "from torch import load", "np.load(a, allow_pickle=True)"]
)
def test_the_check_finds_what_unpickles(source: str):
    assert unpickling(source)
