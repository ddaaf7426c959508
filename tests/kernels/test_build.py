"""Compiling and loading: what a user sees when it works, when it cannot, and when the package is there twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SAMPLE = """
import sys, torch, logging
logging.basicConfig(format="%(levelname)s %(message)s")
from eg3d_kernels import KernelUnavailableError, available_implementations, sample_planes
inputs = torch.ones(1, 3, 2, 2, 4), torch.zeros(1, 5, 3)
assert sample_planes(*inputs, "xy_xz_zx").shape == (1, 5, 4)
sample_planes(*inputs, "xy_xz_zx")
print(available_implementations("sample_planes"))
try:
    sample_planes(*inputs, "xy_xz_zx", implementation="cpu")
except KernelUnavailableError as error:
    print("named:", error)
"""

TWICE = """
import importlib.util, sys, torch
import eg3d_kernels
spec = importlib.util.spec_from_file_location(
    "/custom nodes/pack-1_eg3d_kernels", eg3d_kernels.__file__, submodule_search_locations=eg3d_kernels.__path__
)
other = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = other
spec.loader.exec_module(other)
assert other.sample_planes is not eg3d_kernels.sample_planes
for name in [name for name in sys.modules if name.startswith("eg3d_kernels")]:
    del sys.modules[name]
import eg3d_kernels as again
for package in (eg3d_kernels, other, again):
    features = torch.ones(1, 3, 2, 2, 4, requires_grad=True)
    package.sample_planes(features, torch.zeros(1, 5, 3), "xy_xz_zx", "cpu").sum().backward()
    assert round(features.grad.sum().item(), 4) == 20
"""


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables, cwd=ROOT)


def test_fallback_is_announced_once_with_what_to_install(tmp_path: Path) -> None:
    ran = python(SAMPLE, CXX="no-such-compiler", THREEDPSP_KERNEL_CACHE=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    warnings = [line for line in ran.stderr.splitlines() if line.startswith("WARNING")]
    assert len(warnings) == 1
    assert "no C++ compiler (CXX=no-such-compiler does not exist)" in warnings[0]
    assert "('reference',)" in ran.stdout
    assert "named: sample_planes: implementation 'cpu' cannot run: no C++ compiler" in ran.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in compiler is a shell script")
def test_failed_compilation_keeps_the_compilers_words(tmp_path: Path) -> None:
    compiler = tmp_path / "broken-c++"
    compiler.write_text("#!/bin/sh\necho 'error: no <cmath>' >&2\nexit 1\n")
    compiler.chmod(0o755)
    ran = python(SAMPLE, CXX=str(compiler), THREEDPSP_KERNEL_CACHE=str(tmp_path / "cache"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("WARNING") == 1
    assert "could not compile the kernels (error: no <cmath>)" in ran.stderr
    assert "FAILED: " in ran.stdout  # the whole output is in the error of the named implementation
    assert not list((tmp_path / "cache").glob("*/*"))  # nothing half-made stays


def test_unwritable_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    ran = python(SAMPLE, THREEDPSP_KERNEL_CACHE=str(tmp_path / "file"))
    assert ran.returncode == 0, ran.stderr
    assert "set THREEDPSP_KERNEL_CACHE to a writable folder" in ran.stderr


def test_processes_may_build_at_once(tmp_path: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "THREEDPSP_KERNEL_CACHE": str(tmp_path / "a cache: new")}
    command = [sys.executable, "-c", SAMPLE]
    running = [subprocess.Popen(command, env=variables, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in running:
        assert "('reference', 'cpu')" in process.communicate()[0]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_two_copies_of_the_package_live_in_one_process() -> None:
    ran = python(TWICE)
    assert ran.returncode == 0, ran.stderr
