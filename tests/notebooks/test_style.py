"""What every notebook promises its reader: what and how long first, short cells, no outputs, exercises last."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LINES = 15


def cells(path: Path, kind: str | None = None) -> list[dict]:
    """The cells, all or of one kind, with their text under "text"."""
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"text": "".join(cell["source"])} for cell in found if kind in (None, cell["cell_type"])]


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_first_cell_says_what_you_will_make_and_how_long_it_takes(path: Path):
    first = cells(path)[0]
    assert first["cell_type"] == "markdown"
    assert first["text"].startswith("# ")
    assert "**What you will make.**" in first["text"]
    assert re.search(r"\*\*How long it takes\.\*\* .*\b(second|minute)s?\b", first["text"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_last_cell_has_exercises(path: Path):
    last = cells(path)[-1]
    assert last["cell_type"] == "markdown"
    assert last["text"].startswith("## Exercises")
    assert len(re.findall(r"^\d\. ", last["text"], re.MULTILINE)) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_code_cells_are_short(path: Path):
    long = [cell["text"].splitlines()[0] for cell in cells(path, "code") if len(cell["text"].splitlines()) > LINES]
    assert not long


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_stored(path: Path):
    assert not [cell["id"] for cell in cells(path, "code") if cell["outputs"] or cell["execution_count"]]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_code_is_explained(path: Path):
    """No three code cells in a row without a word between them."""
    kinds = "".join(cell["cell_type"][0] for cell in cells(path))
    assert "ccc" not in kinds


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_only_public_names_are_used(path: Path):
    """Threedpsp itself, and its widgets: readers copy what they see."""
    import threedpsp

    code = "\n".join(cell["text"] for cell in cells(path, "code"))
    assert set(re.findall(r"\bthreedpsp\.(\w+)", code)) <= {*threedpsp.__all__, "widgets", "__version__"}
    assert set(re.findall(r"from threedpsp(\S*) import", code)) <= {"", ".widgets"}
