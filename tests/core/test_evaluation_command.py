"""`threedpsp evaluate` from the command line, with small networks and a stand-in for the face detector."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.core.evaluation_models import found_points, save_models, save_photos, stand_in_crop
from threedpsp.cli import main
from threedpsp.errors import InputError, WeightsError

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def nobody_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threedpsp.evaluation.protocol.crop_of", stand_in_crop)
    monkeypatch.setattr("threedpsp.evaluation.scoring.render_landmarks", lambda image: found_points())


def options(models: Path, *more: str) -> list[str]:
    return ["evaluate", "--generator", str(models), "--device", "cpu", "--steps", "2", *more]


def test_several_methods_make_one_table(tmp_path: Path, models: Path, capsys: Capture):
    photos = save_photos(tmp_path / "photos")
    seeds = "+".join(str(models / f"{name}.safetensors") for name in ("psp", "psp-1"))
    command = options(models, "--methods", f"3dpsp,psp={seeds},e4e", "--data", str(photos), "--json")
    assert main([*command, "-o", str(tmp_path / "out"), "--shown", "2"]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert [(m["name"], m["system"], m["steps"]) for m in report["methods"]] == [
        ("3dpsp", "3dpsp", 2),
        ("psp", "psp", 1),
        ("e4e", "e4e", 1),
    ]
    assert len(report["photos"]) == 3 * 4 and report["photos_measured"] == 3
    measured = {name.removeprefix("encoder/") for name in report["means"]}
    assert {"l2", "psnr", "ssim", "st_lpips_alex", "st_lpips_vgg", "identity", "novel_identity"} <= measured
    assert {"identity_yaw15", "identity_yaw30", "identity_yaw45", "pose_error", "pose_error_yaw30"} <= measured
    assert {"depth_error_yaw15", "lost_faces", "seconds", "peak_memory"} <= measured and "fid" not in measured
    assert "pose_error_yaw45" not in measured
    psp = report["methods"][1]
    assert len(psp["seeds"]) == 2 and set(psp["minus_first"]["encoder/psnr"]) == {"mean", "low", "high", "count"}
    assert {"encoder/frechet_vgg", "encoder/kernel_vgg"} == set(psp["sets"])
    for line in ("[1/3] anna.png: 3dpsp: encoder/psnr", "[3/3] cleo.png"):
        assert line in said.err
    written = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert set(written) == {"evaluation.json", "evaluation.csv", "evaluation.md", "evaluation.html"}
    assert json.loads(written["evaluation.json"].read_text(encoding="utf-8"))["methods"] == report["methods"]
    with open(written["evaluation.csv"], encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 12
    page = written["evaluation.html"].read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 2 * (1 + 3 * 3) and page.count("data:image/svg") == 3


def test_each_photo_that_fails_is_reported_and_the_others_go_on(tmp_path: Path, models: Path, capsys: Capture):
    photos = save_photos(tmp_path / "photos", ("anna.png", "noface.png", "zoe.png"))
    assert main(options(models, str(photos), "--no-refine", "--json")) == InputError.exit_code
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert "error: noface.png: No face found" in said.err and "[3/3] zoe.png" in said.err
    assert report["photos_measured"] == 2 and list(report["photos_failed"]) == ["noface.png"]
    assert [row["photo"] for row in report["photos"]] == ["anna.png", "noface.png", "zoe.png"]


def test_lost_faces_count_against_identity_and_leave_no_pose(
    tmp_path: Path, models: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("threedpsp.evaluation.scoring.render_landmarks", lambda image: None)
    assert main(options(models, str(save_photos(tmp_path / "photos", ("a.png",))), "--no-refine", "--json")) == 0
    means = json.loads(capsys.readouterr().out)["means"]
    assert means["encoder/identity_yaw30"] == means["encoder/lost_faces"] == 1.0
    assert means["encoder/pose_error"] is None and means["encoder/identity"] != 1.0


def test_one_method_is_measured_before_and_after_refining(tmp_path: Path, models: Path, capsys: Capture):
    photos = save_photos(tmp_path / "photos", ("a.png",))
    assert main(options(models, str(photos), "--refine-seconds", "0.2", "--json")) == 0
    means = json.loads(capsys.readouterr().out)["means"]
    assert means["refined/seconds"] > means["encoder/seconds"] and "refined/psnr" in means
    assert 5 <= means["refined/updates"] <= 40 and means["encoder/updates"] == 0


def test_the_first_likeness_is_measured_too_when_asked_for(tmp_path: Path, models: Path, capsys: Capture):
    photos = save_photos(tmp_path / "photos", ("a.png",))
    assert main(options(models, str(photos), "--no-refine", "--likeness", "--json")) == 0
    means = json.loads(capsys.readouterr().out)["means"]
    assert {name.split("/")[0] for name in means} == {"encoder", "likeness"}
    assert means["likeness/psnr"] > means["encoder/psnr"]
    assert means["likeness/seconds"] > means["encoder/seconds"] and means["likeness/updates"] == 5


def test_refine_is_a_method_too(tmp_path: Path, models: Path, capsys: Capture):
    photos = save_photos(tmp_path / "photos", ("a.png",))
    command = options(models, str(photos), "--methods", "psp,refine", "--refine-seconds", "0.2", "--json")
    assert main(command) == 0
    psp, refined = json.loads(capsys.readouterr().out)["methods"]
    assert {name.split("/")[0] for name in psp["means"] if psp["means"][name]["count"]} == {"encoder"}
    assert {name.split("/")[0] for name in refined["means"]} == {"refined"}
    assert "refined/psnr" in refined["minus_first"]


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ([], InputError.exit_code, "No folder of photos"),
        (["absent"], InputError.exit_code, "is not a folder"),
        (["{photos}", "--data", "other"], InputError.exit_code, "Two folders"),
        (["{photos}", "--methods", "mine="], InputError.exit_code, "names no method"),
        (["{photos}", "--methods", "3dpsp,absent.safetensors"], WeightsError.exit_code, "absent.safetensors"),
        (["{photos}", "--yaws", "120"], InputError.exit_code, "less than 90"),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(
    more: list[str], code: int, words: str, tmp_path: Path, models: Path, capsys: Capture
):
    photos = save_photos(tmp_path / "photos", ("a.png",))
    assert main(options(models, *(part.format(photos=photos) for part in more))) == code
    assert words in capsys.readouterr().err
