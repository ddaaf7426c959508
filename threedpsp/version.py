"""The one version number: pyproject.toml's."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path


def version() -> str:
    """From the pyproject.toml of this checkout, else from the installed package, else "unknown"."""
    project = Path(__file__).resolve().parent.parent / "pyproject.toml"
    if project.is_file():
        text = project.read_text(encoding="utf-8")
        found = re.search(r'^version = "([^"]+)"', text, re.MULTILINE)
        if found and re.search(r'^name = "threedpsp"', text, re.MULTILINE):
            return found.group(1)
    try:
        return installed_version("threedpsp")
    except PackageNotFoundError:
        return "unknown"
