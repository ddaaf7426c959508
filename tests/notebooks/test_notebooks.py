"""Notebooks run to their ends offline, and are what their sources make."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks.builder import build
from tests.notebooks.execute import ROOT, execute, warnings_shown

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROCESSOR_SECONDS = 240  # also the limit of wall-clock time on free cores; other work on the machine does not change it

pytestmark = pytest.mark.notebooks


def test_notebooks_agree_with_their_sources():
    assert build.disagreeing() == [], "run: python -m notebooks.build"


def test_a_changed_source_and_a_stray_notebook_are_found(tmp_path: Path):
    source = tmp_path / "src" / "01_x.py"
    source.parent.mkdir()
    source.write_text("# %% [markdown]\n# # Title\n\n# %%\nprint(1)\n", encoding="utf-8")
    build.target(source).write_text(build.built(source), encoding="utf-8")
    assert build.disagreeing(tmp_path) == []
    source.write_text("# %% [markdown]\n# # Title\n\n# %%\nprint(2)\n", encoding="utf-8")
    (tmp_path / "02_stray.ipynb").write_text("{}", encoding="utf-8")
    assert build.disagreeing(tmp_path) == ["01_x.ipynb", "02_stray.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_offline(path: Path, tmp_path: Path):
    notebook, seconds = execute(path, tmp_path)
    assert warnings_shown(notebook) == []
    assert seconds < PROCESSOR_SECONDS


def test_a_warning_of_ours_fails_a_notebook(tmp_path: Path):
    nbformat = pytest.importorskip("nbformat")
    from nbclient.exceptions import CellExecutionError

    path = tmp_path / "warns.ipynb"
    code = 'import warnings\nwarnings.warn_explicit("old", UserWarning, "x.py", 1, module="threedpsp.camera")'
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), path)
    with pytest.raises(CellExecutionError, match="old"):
        execute(path, tmp_path)
