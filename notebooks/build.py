"""Makes every notebooks/NN_name.ipynb from notebooks/src/NN_name.py: `python -m notebooks.build`, in the repository.

The .py files (py:percent, which editors run cell by cell) are the sources, and machine.py is put into each; edit those.
With --check nothing is written: it exits with 1 and names the notebooks that do not agree with their sources.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MACHINE = "machine.py"
"""Cells that every notebook has after its title: they find out where they run, and install the package if need be."""
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def sources(folder: Path = HERE) -> list[Path]:
    """The sources in order of their numbers."""
    return sorted((folder / "src").glob("[0-9][0-9]_*.py"))


def built(source: Path) -> str:
    """The notebook of a source as text: no outputs, and cells numbered, so that the same source makes the same file."""
    import jupytext

    def read(path: Path) -> list[Any]:
        return jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent").cells if path.exists() else []

    title, *rest = read(source)
    cells = []
    for number, cell in enumerate([title, *read(source.parent / MACHINE), *rest]):
        kept = {"cell_type": cell.cell_type, "id": f"cell-{number:02d}", "metadata": dict(cell.metadata)}
        if cell.cell_type == "code":
            kept |= {"execution_count": None, "outputs": []}
        cells.append(kept | {"source": cell.source.splitlines(keepends=True)})
    content = {"cells": cells, "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def target(source: Path) -> Path:
    """Where the notebook of a source lies."""
    return source.parent.parent / f"{source.stem}.ipynb"


def disagreeing(folder: Path = HERE) -> list[str]:
    """Notebooks that are missing, differ from what their sources make, or have no source."""
    made = {target(source): built(source) for source in sources(folder)}
    wrong = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    wrong += [path for path in folder.glob("*.ipynb") if path not in made]
    return sorted(path.name for path in wrong)


def main() -> int:
    """Builds, or checks; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a notebook is out of date")
    if parser.parse_args().check:
        wrong = disagreeing()
        if wrong:
            print(f"Not as their sources make them: {', '.join(wrong)}. Run: python -m notebooks.build")
        return 1 if wrong else 0
    for source in sources():
        target(source).write_text(built(source), encoding="utf-8", newline="\n")
        print(f"notebooks/{target(source).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
