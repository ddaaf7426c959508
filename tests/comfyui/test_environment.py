"""What installing our requirements does to a ComfyUI that somebody already has."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.version import Version

from tests.comfyui.environment import REQUIREMENTS, Environment, requirement_changes

pytestmark = pytest.mark.comfyui


def test_nothing_that_comfyui_has_is_removed_or_downgraded(comfyui_environment: Environment) -> None:
    before, after = comfyui_environment.packages("before"), comfyui_environment.packages("after")
    print("\n".join(requirement_changes(before, after)))
    assert [name for name in before if name not in after] == []
    assert {
        name: (version, after[name]) for name, version in before.items() if Version(after[name]) < Version(version)
    } == {}


def test_numpy_and_protobuf_stay_as_they_are(comfyui_environment: Environment) -> None:
    before, after = comfyui_environment.packages("before"), comfyui_environment.packages("after")
    assert after["numpy"] == before["numpy"]
    assert after.get("protobuf") == before.get("protobuf")


def test_one_by_one_and_all_at_once_install_the_same(comfyui_environment: Environment) -> None:
    assert comfyui_environment.packages("all at once") == comfyui_environment.packages("after")


OLDER = {"numpy": "1.26.4", "protobuf": "4.25.8", "pillow": "10.4.0"}
"""Versions that many a ComfyUI still has, for other packs' sake."""


def test_an_older_comfyui_loses_no_version(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """pip's own report of a dry run beside these versions; nothing else is installed.

    numpy 1 becomes numpy 2 where no OpenCV is installed yet: MediaPipe wants OpenCV, and the newest wants numpy 2.
    """
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [tmp_path / "venv" / "bin" / "python", "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--no-deps", *(f"{name}=={version}" for name, version in OLDER.items())], check=True
    )
    torch = {"torch": "2.7.1", "torchvision": "0.22.1"}
    for name, version in torch.items():
        _claim(tmp_path / "venv", name, version)  # every ComfyUI has them; here their names are enough
    report = tmp_path / "report.json"
    subprocess.run([*pip, "install", "--dry-run", "--report", report, "-r", str(REQUIREMENTS)], check=True)
    installs = [entry["metadata"] for entry in json.loads(report.read_text())["install"]]
    after = {metadata["name"].lower(): metadata["version"] for metadata in installs}
    changes = {name: after[name] for name in {**OLDER, **torch} if name in after}
    had = ", ".join(f"{name} {version}" for name, version in OLDER.items())
    tell(f"beside {had} our requirements change: {changes or 'nothing'}")
    assert set(changes) <= {"numpy"}
    assert Version(changes.get("numpy", OLDER["numpy"])) >= Version(OLDER["numpy"])


def _claim(venv: Path, name: str, version: str) -> None:
    """Makes pip believe that a package is installed."""
    (packages,) = (venv / "lib").glob("python*/site-packages")
    facts = packages / f"{name}-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (facts / "INSTALLER").write_text("pip\n")
    (facts / "RECORD").write_text("")
