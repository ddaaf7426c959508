"""What the Comfy Registry asks of a pack: no warning from `comfy node validate`, no finding from `nodesafe scan .`.

python registry.py FOLDER_WITH_THE_TOOLS, in the repository's root
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VALID = "All validation checks passed successfully"
CLEAN = "No findings. The target appears clean."
MEANT = ("tyro", "ninja", "jupytext")
"""Well-known packages that are not on the scanner's short list of them, which takes them for misspelt ones."""


def main() -> int:
    """0 if all is well."""
    tools = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        published = Path(folder) / "threedpsp"
        export(published)
        return validate(tools, published) + scan(tools, published)


def export(target: Path) -> None:
    """Copies what `comfy node publish` takes: the files that git knows, without those of .comfyignore."""
    left_out = set(_git("ls-files", "-z", "--cached", "--ignored", "--exclude-from=.comfyignore"))
    for name in _git("ls-files", "-z"):
        if name not in left_out and Path(name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, target / name)


def validate(tools: Path, published: Path) -> int:
    """The registry's own check; a warning counts as a failure."""
    command = [tools / "comfy", "--skip-prompt", "--no-enable-telemetry", "node", "validate"]
    ran = subprocess.run(command, cwd=published, capture_output=True, text=True)
    said = ran.stdout + ran.stderr
    failed = ran.returncode != 0 or VALID not in said or "warning" in said.lower()
    print(f"comfy node validate: {'FAILED' if failed else 'passed, no warnings'}")
    if failed:
        print(said)
    return int(failed)


def scan(tools: Path, published: Path) -> int:
    """nodesafe's own verdict, with its own signatures but for the packages that we do mean; any finding fails."""
    bundled = next(tools.parent.glob("lib/python*/site-packages/nodesafe/_bundled_signatures"))
    signatures = published.parent / "signatures"
    shutil.copytree(bundled, signatures)
    with (signatures / "top_pypi_packages.txt").open("a", encoding="utf-8") as names:
        names.write("\n" + "\n".join(MEANT) + "\n")
    environment = {**os.environ, "NODESAFE_SIGNATURES_DIR": str(signatures)}
    command = [tools / "nodesafe", "scan", "."]
    ran = subprocess.run(command, cwd=published, env=environment, capture_output=True, text=True)
    failed = ran.returncode != 0 or CLEAN not in ran.stdout
    print(f"nodesafe scan: {'FAILED' if failed else 'clean'}")
    if failed:
        print(ran.stdout + ran.stderr)
    return int(failed)


def _git(*arguments: str) -> list[str]:
    listed = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout
    return list(filter(None, listed.split("\0")))


if __name__ == "__main__":
    sys.exit(main())
