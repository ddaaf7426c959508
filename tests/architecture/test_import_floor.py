"""What importing costs, and that it works where optional packages are missing and under ComfyUI's mangled name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    *("mediapipe", "cv2", "av", "skimage", "scipy", "torchvision"),
    *("matplotlib", "IPython", "lpips", "accelerate", "tyro"),
)

IMPORT_ALL = """
import importlib, pkgutil, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (hidden by the test)", name=name)

sys.meta_path.insert(0, Missing())
import threedpsp
for module in pkgutil.walk_packages(threedpsp.__path__, "threedpsp."):
    if not module.name.startswith("threedpsp.cli"):
        importlib.import_module(module.name)
"""

MANGLED = """
import importlib, sys
from pathlib import Path
from tests.nodes.comfy_stand_in.install import MANGLED as name, loaded_pack, node_classes
sys.path[:] = [p for p in sys.path if p not in ("", {root!r})]
path_before = list(sys.path)
with loaded_pack(Path({base!r})) as pack:
    assert not any(m.startswith(name + ".") for m in sys.modules), "the pack's root must be lazy"
    assert len(node_classes(pack)) > 10
    core = importlib.import_module(name + ".threedpsp")
    for public in core.__all__:
        assert getattr(core, public).__module__.startswith(name), public
    assert not {{"threedpsp", "eg3d_kernels"}} & set(sys.modules), "a second copy was imported"
assert sys.path == path_before
"""


def run(code: str, cwd: Path) -> str:
    """Runs code in a fresh Python without the tests' hooks; returns what it printed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path):
    loaded = run("import threedpsp, sys; print(*sys.modules, sep='\\n')", tmp_path).splitlines()
    assert not {"torch", "numpy", "PIL", *HEAVY} & set(loaded)


def test_the_command_line_starts_without_torch(tmp_path: Path):
    loaded = run("import threedpsp.cli, sys; print(*sys.modules, sep='\\n')", tmp_path).splitlines()
    assert not ({"torch", "PIL", *HEAVY} - {"tyro"}) & set(loaded)


def test_the_pipeline_imports_no_optional_package(tmp_path: Path):
    code = "import threedpsp, sys; [getattr(threedpsp, n) for n in threedpsp.__all__]; print(*sys.modules, sep='\\n')"
    assert not set(HEAVY) & set(run(code, tmp_path).splitlines())


def test_every_module_imports_without_optional_packages(tmp_path: Path):
    run(IMPORT_ALL.format(heavy=set(HEAVY) - {"tyro", "scipy"}), tmp_path)


def test_pack_works_under_a_mangled_name(tmp_path: Path):
    run(MANGLED.format(root=str(ROOT), base=str(tmp_path)), tmp_path)
