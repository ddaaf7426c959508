"""Hostile and broken weights files end in an error that names the file and the cause; nothing of them runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.golden import ROOT
from tests.hostile_cases import CASES, Case
from tests.hostile_files import good_pickle
from tests.hostile_worker import MEMORY, SECONDS

BATCH = 30  # files for one process, so that a crash does not hide the others' results


def read_in_process(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """What became of each file in a process that may take 1 GB more than it has when it starts."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.hostile_worker"]
    told = json.dumps([str(path) for path in paths])  # as arguments, paths cannot have zeros in them
    done = subprocess.run(
        command, cwd=paths[0].parent, env=environment, input=told, capture_output=True, text=True, timeout=300
    )
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, f"the process died after {len(results)} of {len(paths)}: {done.stderr[-2000:]}"
    return {result["path"]: result for result in results}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def canary(folder: Path) -> Path:
    """The file that every attack would create."""
    return folder / "canary"


@pytest.fixture(scope="module")
def outcomes(folder: Path, canary: Path) -> dict[str, tuple[Path, dict[str, Any], set[str]]]:
    """Every case's path, what became of it, and the files that it left behind."""
    paths, before = {}, {}
    for case in CASES:
        (folder / case.name).mkdir()
        paths[case.name] = case.make(folder / case.name / case.file, f"touch {canary}")
        before[case.name] = set(os.listdir(folder / case.name))
    results: dict[str, dict[str, Any]] = {}
    names = list(paths)
    for start in range(0, len(names), BATCH):
        results |= read_in_process([paths[name] for name in names[start : start + BATCH]])
    left = {name: set(os.listdir(folder / name)) - before[name] for name in names}
    return {name: (path, results[str(path)], left[name]) for name, path in paths.items()}


@pytest.mark.skipif(sys.platform != "linux", reason="sets limits that only Linux has")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_file_ends_in_an_error_that_names_it(
    case: Case, outcomes: dict[str, tuple[Path, dict[str, Any], set[str]]], canary: Path
) -> None:
    path, outcome, left = outcomes[case.name]
    for error in outcome["errors"]:
        assert not error.startswith(("untyped", "no error")), error
        assert str(path) in error
    assert case.says in outcome["errors"][0].replace(str(path), path.name)
    assert outcome["seconds"] < SECONDS
    assert outcome["peak"] < MEMORY
    assert not left, "something was written"
    assert not canary.exists(), "something in the file was run"


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 25
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_attacks_would_work_on_a_reader_that_trusts(folder: Path, tmp_path: Path) -> None:
    """The canary is a real one: unpickled in the ordinary way, the file creates it."""
    case = next(case for case in CASES if case.name == "os-system")
    path = case.make(tmp_path / "a.pkl", f"touch {tmp_path / 'canary'}")
    subprocess.run([sys.executable, "-c", f"import pickle; pickle.load(open({str(path)!r}, 'rb'))"], check=True)
    assert (tmp_path / "canary").exists()


READ_WATCHED = """
import sys
from threedpsp.weights.recognise import recognise
recognise(sys.argv[1])  # once before, because the first reading imports what it needs
seen = []
sys.addaudithook(lambda event, _: seen.append(event))
found = recognise(sys.argv[1])
bad = {"compile", "exec", "import", "os.system", "os.exec", "subprocess.Popen", "pickle.find_class"} & set(seen)
assert found.kind == "eg3d-generator" and not found.problems and not bad, bad
"""


def test_reading_an_official_file_compiles_and_runs_nothing(tmp_path: Path) -> None:
    path = good_pickle(tmp_path / "a.pkl")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", READ_WATCHED, str(path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
