"""Results are written whole or not at all, and the error says what to do."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.other_user import read_only_folder, run_as_other_user
from threedpsp.errors import OutputError
from threedpsp.output import atomic_folder, atomic_write, output_dir, output_error


def test_file_appears_only_at_the_end(tmp_path: Path):
    target = tmp_path / "a.txt"
    with atomic_write(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
        assert temporary.suffix == ".txt"
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


def test_failure_keeps_the_old_file_and_removes_the_temporary_one(tmp_path: Path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyError), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise KeyError("stop")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(OutputError, match="its folder does not exist"), atomic_write(tmp_path / "no" / "a.txt"):
        pass


def test_a_folder_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OutputError, match="a folder of this name is in the way"), atomic_write(tmp_path / "a.txt"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EFBIG, "limit on file size"), (errno.EACCES, "may not write there")],
)
def test_causes_are_in_plain_words(number: int, words: str):
    assert words in str(output_error("x.png", OSError(number, "system's words")))


def test_unknown_cause_keeps_the_systems_words():
    assert "Input/output error" in str(output_error("x.png", OSError(errno.EIO, "Input/output error")))


def test_folder_appears_whole(tmp_path: Path):
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "a").read_text() == "1"


def test_folder_that_exists_is_updated(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("old")
    (tmp_path / "out" / "mine").write_text("kept")
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "a").write_text("new")
    assert {p.name: p.read_text() for p in (tmp_path / "out").iterdir()} == {"a": "new", "mine": "kept"}


def test_failed_folder_leaves_nothing(tmp_path: Path):
    with pytest.raises(OutputError, match="disk is full"), atomic_folder(tmp_path / "out") as temporary:
        (temporary / "a").write_text("1")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_new_empty_output_folder_goes_away_again(tmp_path: Path):
    with pytest.raises(KeyError), output_dir(tmp_path / "a" / "b"):
        raise KeyError("nothing was written")
    assert not list(tmp_path.iterdir())


def test_output_folder_with_results_stays(tmp_path: Path):
    with output_dir(tmp_path / "a" / "b") as folder:
        (folder / "result").touch()
    assert (tmp_path / "a" / "b" / "result").exists()


def test_output_folder_that_is_a_file_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Could not write"), output_dir(tmp_path / "file"):
        pass


def test_unwritable_output_folder_is_found_before_any_work(tmp_path: Path):
    folder = read_only_folder(tmp_path)
    code = f"""
try:
    with output_dir({str(folder / "out")!r}):
        print("entered")
except OutputError as error:
    print(error)
"""
    done = run_as_other_user("from threedpsp.errors import OutputError; from threedpsp.output import output_dir", code)
    assert "may not write there" in done.stdout, done.stderr
