"""Every fenced command of the pages runs in a fresh clone and a fresh environment, in the order of its page."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import RUN, Block, blocks, pages
from tests.docs.reader import clone, environment, fresh_venv, read

SECONDS = 600.0
"""For a page, on a machine that does other things too; the whole step takes less than that on two quiet cores."""

pytestmark = pytest.mark.docs


def runs_in(checkout: Path, page: str) -> list[Block]:
    """The blocks of a page of a checkout that run here."""
    found = blocks(page, (checkout / page).read_text(encoding="utf-8"))
    return [block for block in found if block.language in RUN and block.need is None]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment in which the package is installed from a fresh clone, for pages that assume that."""
    folder = tmp_path_factory.mktemp("installed")
    checkout, venv = clone(folder / "clone"), fresh_venv(folder)
    subprocess.run(["pip", "install", "-q", "-e", "."], cwd=checkout, env=environment(folder, venv), check=True)
    return venv


@pytest.mark.parametrize("page", pages())
def test_commands_of_the_page_run(page: str, tmp_path: Path, request: pytest.FixtureRequest):
    checkout = clone(tmp_path / "clone")
    todo = runs_in(checkout, page)
    if not todo:
        return
    installs = any("pip install -e" in block.code for block in todo)
    venv = fresh_venv(tmp_path) if installs else request.getfixturevalue("installed")
    outcome = read(todo, checkout, environment(tmp_path, venv), SECONDS)
    assert outcome.failed_line is None, f"{page}:{outcome.failed_line} failed:\n{outcome.output[-4000:]}"
