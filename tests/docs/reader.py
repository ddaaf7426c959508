"""Does what a page says, as a reader would: a fresh clone, a fresh environment, one shell for the whole page."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import ROOT, SHELL, Block

PHOTOS = {
    "me.jpg": "threedpsp_astronaut.jpg",
    "holiday/anna.jpg": "threedpsp_face_4.jpg",
    "portraits/one.jpg": "threedpsp_face_8.jpg",
    "portraits/two.jpg": "threedpsp_face_34.jpg",
}
"""Where pages speak of the reader's own photos: name -> example photo."""
MARK = "== line "


@dataclass(frozen=True)
class Outcome:
    """How a page went."""

    failed_line: int | None
    """Of the block that failed; None: all went well."""
    output: str
    """Everything that was printed, each block's after a line with `MARK`."""


def clone(folder: Path) -> Path:
    """A fresh clone of what is committed here, with the reader's photos in it."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    for name, example in PHOTOS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "nodes" / "example_photos" / example, folder / name)
    return folder


def environment(folder: Path, venv: Path | None) -> dict[str, str]:
    """Variables for a reader at home in `folder`, in a virtual environment or in none.

    The packages of the Python that runs the tests, but our own, are on PYTHONPATH, so pip in any fresh environment
    finds them there and fetches only what is missing.
    """
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    ours = ("THREEDPSP_", "PYTEST_", "PYTHON", "VIRTUAL_ENV")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    real_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = [str(venv / "bin")] if venv else []
    return variables | {
        "HOME": str(home),
        "PATH": os.pathsep.join([*path, str(tools(folder)), variables["PATH"]]),
        "PYTHONPATH": str(packages(folder)),
        "PIP_CACHE_DIR": str(real_cache / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "THREEDPSP_KERNEL_CACHE": str(real_cache / "threedpsp" / "kernels"),
        "MPLBACKEND": "Agg",
    }


def packages(folder: Path) -> Path:
    """A folder with links to everything that the Python of these tests has installed, but our own package."""
    links = folder / "packages"
    if not links.is_dir():
        links.mkdir(parents=True)
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if "threedpsp" not in entry.name and entry.name not in {"eg3d_kernels", "__pycache__"}:
                (links / entry.name).symlink_to(entry)
    return links


def tools(folder: Path) -> Path:
    """A folder with the installed commands (pytest, torchrun, ...), which start the first `python` of PATH."""
    bin_folder = folder / "tools"
    if not bin_folder.is_dir():
        bin_folder.mkdir(parents=True)
        scripts = Path(sysconfig.get_path("scripts"))
        for name in ("accelerate", "jupyter", "jupyter-lab", "pip", "pytest", "mypy", "torchrun"):
            if (scripts / name).is_file():
                module = {"accelerate": "accelerate.commands.accelerate_cli", "torchrun": "torch.distributed.run"}
                start = f"exec python -m {module.get(name, name.replace('-lab', 'lab'))}"
                (bin_folder / name).write_text(f'#!/bin/sh\n{start} "$@"\n')
                (bin_folder / name).chmod(0o755)
        (bin_folder / "ruff").symlink_to(scripts / "ruff")  # a program of its own
    return bin_folder


def fresh_venv(folder: Path) -> Path:
    """A virtual environment that sees `packages(folder)` as its own, also where a test of ours clears PYTHONPATH."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "packages.pth").write_text(f"{packages(folder)}\n")
    return venv


def read(page_blocks: list[Block], checkout: Path, variables: dict[str, str], seconds: float) -> Outcome:
    """Runs the blocks that can run, in one shell that ends at the first failure."""
    script = ["set -eo pipefail"]
    for block in page_blocks:
        script.append(f"echo '{MARK}{block.line}'")
        script.append(command(block, checkout))
    log = checkout / "page.log"
    with log.open("wb") as stream:
        try:
            code = subprocess.run(
                ["bash", "-c", "\n".join(script)],
                cwd=checkout,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=seconds,
            ).returncode
        except subprocess.TimeoutExpired:
            code = 124
    output = log.read_text(encoding="utf-8", errors="replace")
    reached = [int(line.removeprefix(MARK)) for line in output.splitlines() if line.startswith(MARK)]
    return Outcome((reached or [0])[-1] if code else None, output)


def command(block: Block, checkout: Path) -> str:
    """What the shell runs for a block: itself, without the prompts of a console; or its Python."""
    if block.language == "python":
        path = checkout / f"block_{block.line}.py"
        path.write_text(block.code, encoding="utf-8")
        return f"python {shlex.quote(str(path))}"
    assert block.language in SHELL
    lines = block.code.splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return "\n".join(lines)
