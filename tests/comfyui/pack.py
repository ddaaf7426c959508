"""Lays out a ComfyUI base folder with our pack in it, as a person who cloned the repository would have it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.comfyui.environment import REPOSITORY

PACK = "threedpsp"  # the name of our folder under custom_nodes


def lay_out(base: Path) -> Path:
    """Fills an empty folder for `--base-directory`.

    Returns:
        Our pack's folder in it.
    """
    for name in ("input", "output", "temp", "models", "user/default"):
        (base / name).mkdir(parents=True, exist_ok=True)
    # Without it the page opens with a tour of templates.
    (base / "user" / "default" / "comfy.settings.json").write_text(json.dumps({"Comfy.TutorialCompleted": True}))
    pack = base / "custom_nodes" / PACK
    copy_pack(pack)
    return pack


def copy_pack(target: Path) -> None:
    """Copies what git knows or would take, so that a test never profits from an ignored file."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source = REPOSITORY / name
        if not source.is_file():  # deleted and not yet committed
            continue
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
