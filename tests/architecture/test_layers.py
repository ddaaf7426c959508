"""Reads every import with `ast`: no floor above its own, ComfyUI in nodes only, own packages by relative imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = [
    {"cpu_limits", "errors", "packed_weights", "unfilled", "version"},
    {
        f"weights.{name}" for name in ("pickle_machine", "tensor_refs", "torch_zip", "torch_extras", "torch_file")
    },  # the guarded reader
    {"allocator", "device", "output", "precision", "process_memory"},
    {"threads"},
    {"camera"},
    {"types", "paths", "viewer_camera"},
    {"kernels"},
    {"metrics", "eg3d"},
    {"preprocessing"},
    {"encoder"},
    {"weights", "export", "frame_chunks"},
    {"meshing", "rendering", "sampling", "setup_check", "stages"},
    {"pipeline", "views"},
    {"training", "evaluation", "results"},
    {"widgets", "bench", "cli", "__main__"},
]
"""Modules and folders; a file of a folder that is named by itself has a floor of its own."""
FLOOR = {name: height for height, names in enumerate(FLOORS) for name in names}
KERNELS_MAY = {"eg3d_kernels", "torch", "numpy", "jaxtyping", "ninja", "cffi", *sys.stdlib_module_names}
COMFY = {"comfy", "comfy_api", "comfy_extras", "folder_paths", "nodes", "server"}
FILES = sorted(p for package in ("threedpsp", "eg3d_kernels", "nodes") for p in (ROOT / package).rglob("*.py"))


def floor_of(parts: Sequence[str]) -> int | None:
    """The floor of threedpsp/<parts[0]>/<parts[1]>, or of what holds it."""
    return FLOOR.get(".".join(parts[:2]), FLOOR.get(parts[0])) if parts else None


def imports(path: Path) -> Iterator[tuple[int, str, bool]]:
    """(line, absolute dotted name, was it written relative) of every import, inside functions too."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            above = node.level > len(package)
            prefix = [".." if above else "", *base] if above else base
            for alias in node.names:
                module = (node.module or "").split(".") if node.module else []
                yield node.lineno, ".".join([*prefix, *module, alias.name]), bool(node.level)


def problems(path: Path) -> Iterator[str]:
    """What is wrong with the imports of one file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    top, inner = parts[0], parts[1] if len(parts) > 1 else ""
    own_parts = [part.removesuffix(".py") for part in parts[1:]]
    for line, name, relative in imports(path):
        target = name.split(".")
        where = f"{'/'.join(parts)}:{line} imports {name}"
        if not relative and target[0] in {"threedpsp", "eg3d_kernels"} and parts != ("threedpsp", "kernels"):
            yield f"{where}: write it relative, the package may have another name inside ComfyUI"
        if top != "nodes" and target[0] in COMFY and not relative:
            yield f"{where}: ComfyUI belongs in nodes/"
        if top == "eg3d_kernels" and target[0] not in KERNELS_MAY:
            yield f"{where}: kernels may import torch and nothing above them"
        if top == "nodes" and "eg3d_kernels" in target:
            yield f"{where}: nodes reach kernels through threedpsp"
        if top == "threedpsp" and "eg3d_kernels" in target and inner != "kernels":
            yield f"{where}: only threedpsp/kernels.py may"
        if top == "threedpsp" and relative and target[0] == "threedpsp":
            own, other = floor_of(own_parts), floor_of(target[1:])
            if own is not None and other is not None and other > own:
                yield f"{where}: {'.'.join(target[1:3])} is a floor above {'.'.join(own_parts)}"


def test_files_are_found():
    assert len(FILES) > 10


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_respect_the_layers(path: Path):
    assert not list(problems(path))


def test_every_module_has_a_floor():
    folder = ROOT / "threedpsp"
    modules = {p.stem for p in folder.glob("*.py")} | {p.parent.name for p in folder.glob("*/__init__.py")}
    assert modules - set(FLOOR) <= {"__init__"}


def test_every_folder_with_code_is_a_package():
    folders = {p.parent for p in FILES}
    assert not [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").is_file()]


def test_the_check_finds_a_forbidden_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    bad = tmp_path / "threedpsp" / "eg3d" / "bad.py"
    bad.parent.mkdir(parents=True)
    bad.write_text(
        "from ..encoder.encoder import Encoder\nimport folder_paths\nimport threedpsp\nfrom ...eg3d_kernels import x\n"
    )
    found = list(problems(bad))
    assert [p.split(":")[1].split()[0] for p in found] == ["1", "2", "3", "4"]
    reader = tmp_path / "threedpsp" / "weights" / "torch_file.py"
    reader.parent.mkdir(parents=True)
    reader.write_text("from ..errors import WeightsError\nfrom .pickle_machine import Stub\nfrom .load import named\n")
    assert [p.split(":")[1].split()[0] for p in problems(reader)] == ["3"]
