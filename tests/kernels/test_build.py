"""Compiling and loading: what a user sees when it works, when it cannot, and when the package is there twice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.other_user import read_only_folder, run_as_other_user

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


def test_a_missing_cffi_is_told_with_the_command() -> None:
    ran = python("import sys; sys.modules['cffi'] = None\n" + SAMPLE)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("WARNING") == 1
    assert "cffi is missing, which calls the compiled kernels; run: pip install cffi." in ran.stderr
    assert "('reference',)" in ran.stdout


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


DAMAGES = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "empty": lambda path: path.write_bytes(b""),
    "one byte changed": lambda path: path.write_bytes(path.read_bytes()[:-9] + b"!" + path.read_bytes()[-8:]),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_library_is_built_anew(damage: Callable[[Path], object], built: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(built, cache)
    (library,) = (path for path in cache.rglob("*") if path.is_file())
    damage(library)
    ran = python(SAMPLE, THREEDPSP_KERNEL_CACHE=str(cache))
    assert ran.returncode == 0, ran.stderr
    assert "('reference', 'cpu')" in ran.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the library in it."""
    cache = tmp_path_factory.mktemp("built") / "cache"
    assert "('reference', 'cpu')" in python(SAMPLE, THREEDPSP_KERNEL_CACHE=str(cache)).stdout
    return cache


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no permission bits")
def test_a_cache_that_belongs_to_another_user_is_named(tmp_path: Path) -> None:
    folder = read_only_folder(tmp_path)
    ran = run_as_other_user(
        "import torch, logging, torch._dynamo, eg3d_kernels.cpu",
        f"import os\nos.environ['THREEDPSP_KERNEL_CACHE'] = {str(folder / 'kernels')!r}\n{SAMPLE}",
    )
    assert ran.returncode == 0, ran.stderr
    assert "set THREEDPSP_KERNEL_CACHE to a writable folder" in ran.stderr
    assert "('reference',)" in ran.stdout


OLD_PROCESSOR = """
import torch
import eg3d_kernels
from eg3d_kernels.build import toolchain
assert not [flag for flag in toolchain()[1] if "native" in flag]
from tests.kernels.test_bias_act import Case as Act
from tests.kernels.test_modulated_conv2d import Case as Conv
from tests.kernels.test_render_rays import Case as Render, test_cpu_matches_reference as check_rendering
from tests.kernels.test_upfirdn2d import Case as Resample
from tests.kernels.agreement import check_agreement
check_agreement(Act("old").run, Act("old").inputs())
check_agreement(Conv("old").run, Conv("old").inputs())
check_agreement(Resample("old", up=2).run, [Resample("old").input()])
check_rendering(Render("old"))
"""


def test_processors_without_vector_instructions_get_the_same(tmp_path: Path) -> None:
    ran = python(OLD_PROCESSOR, THREEDPSP_KERNEL_CACHE=str(tmp_path), THREEDPSP_KERNEL_PORTABLE="1")
    assert ran.returncode == 0, ran.stderr


FORKED = """
import os, torch
torch.set_num_threads(2)
from eg3d_kernels import BLUR_TAPS, bias_act, upfirdn2d
# As the ops want it: torch's own copying would wait for ever in the child, as all its OpenMP loops do there.
x = torch.ones(2, 8, 64, 64).contiguous(memory_format=torch.channels_last)
def run():
    return bias_act(upfirdn2d(x, BLUR_TAPS, up=2, padding=(2, 1), implementation="cpu"), implementation="cpu").numpy()
expected = run().tobytes()
child = os.fork()
if child == 0:
    os._exit(0 if run().tobytes() == expected else 3)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_forked_workers_run_kernels() -> None:
    command = [sys.executable, "-c", FORKED]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
