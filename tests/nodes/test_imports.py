"""The pack loads where optional packages are missing, and loads none of them by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.nodes.comfy_stand_in.install import PACK

OPTIONAL = (
    "mediapipe",
    "lpips",
    "skimage",
    "av",
    "imageio",
    "scipy",
    "stlpips_pytorch",
    "cv2",
    "torchvision",
    "trimesh",
)

PROGRAM = """
import sys
from pathlib import Path

class Missing:
    def find_spec(self, name, path=None, target=None):
        if {hide} and name.partition(".")[0] in {optional!r}:
            raise ModuleNotFoundError("hidden by the test: " + name, name=name)

sys.meta_path.insert(0, Missing())
from tests.nodes.comfy_stand_in.install import MANGLED, loaded_pack, schemas_of
with loaded_pack(Path({base!r})) as pack:
    assert not any(name.startswith(MANGLED + ".") for name in sys.modules), "the pack's root must be lazy"
    print(len(schemas_of(pack)))
    assert not {{"threedpsp", "eg3d_kernels"}} & set(sys.modules), "a second copy was imported"
    print(*[name for name in {optional!r} if name in sys.modules])
"""


def loaded(base: Path, *, hide: bool) -> list[str]:
    """Loads all nodes in a fresh Python; how many there are, and which optional packages that has imported."""
    code = PROGRAM.format(hide=hide, optional=OPTIONAL, base=str(base))
    done = subprocess.run([sys.executable, "-c", code], cwd=PACK, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("hide", [True, False], ids=["packages missing", "packages there"])
def test_nodes_load_without_importing_optional_packages(tmp_path: Path, hide: bool):
    assert loaded(tmp_path, hide=hide) == ["15"]
