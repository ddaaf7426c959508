"""What a wheel holds: two packages with their data, and the command; requirements that ComfyUI-Manager can read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel built from a copy of the sources."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("threedpsp", "eg3d_kernels", "nodes", "notebooks", "workflows"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE", "__init__.py"):
        shutil.copy(ROOT / name, source)
    code = f"from setuptools.build_meta import build_wheel; build_wheel({str(out)!r})"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=source, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel_holds_the_two_packages_only(wheel: zipfile.ZipFile):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"threedpsp", "eg3d_kernels"}


def test_wheel_holds_all_code_and_data(wheel: zipfile.ZipFile):
    held = set(wheel.namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for package in ("threedpsp", "eg3d_kernels")
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".typed", ".cpp", ".h", ".cu", ".safetensors", ".npz", ".json", ".js"}
    }
    assert not wanted - held


def test_wheel_installs_the_command(wheel: zipfile.ZipFile):
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "threedpsp = threedpsp.cli:main" in wheel.read(entry_points).decode()


def test_requirements_are_one_plain_line_each():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9_-]+((==|>=)[0-9.]+)?", line), line
    assert not [line for line in lines if line.startswith(("torch=", "torch>", "torch<", "numpy="))]
    assert not [line for line in lines if re.match(r"torchvision|jupyter|ipywidgets|pytest|accelerate", line)]
