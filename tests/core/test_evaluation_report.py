"""What the report makes of rows: common photos, seeds, differences, files, the page."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from threedpsp.evaluation.measures import MEASURES, measure_of
from threedpsp.evaluation.page import page, write_report
from threedpsp.evaluation.report import EvaluationReport, PhotoScores, ReportedMethod

NASTY = '<b>"photo" & |co|.png'


def row(photo: str, method: str, psnr: float, seed: int = 0, error: str | None = None, **more: float) -> PhotoScores:
    figures = {"encoder/psnr": psnr, "encoder/identity": 1 / psnr, **{f"encoder/{n}": v for n, v in more.items()}}
    random = np.random.default_rng(int(psnr * 10) + seed)
    features = {"photo": {"vgg": np.arange(4.0) + len(photo)}, "encoder": {"vgg": random.normal(size=4)}}
    picture = torch.zeros(1, 3, 64, 64)
    pictures = {"photo": (picture,), "encoder": (picture,) * 3} if seed == 0 else {}
    return PhotoScores(photo, method, seed, {} if error else figures, error, features, pictures)


@pytest.fixture
def report() -> EvaluationReport:
    """Two methods, the second with two seeds; the second cannot use one photo; one pose was not found."""
    rows = [
        row("a.png", "first", 20.0, pose_error=3.0),
        row("a.png", "second", 21.0, 0, pose_error=4.0),
        row("a.png", "second", 23.0, 1, pose_error=math.nan),
        row(NASTY, "first", 24.0, pose_error=math.nan),
        row(NASTY, "second", 27.0, 0, pose_error=2.0),
        row(NASTY, "second", 29.0, 1, pose_error=2.0),
        row("bad.png", "first", 99.0, pose_error=1.0),
        row("bad.png", "second", 1.0, 0, error="it went wrong"),
        row("bad.png", "second", 99.0, 1, pose_error=1.0),
    ]
    methods = (ReportedMethod("first", "3dpsp", ("a",), 5), ReportedMethod("second", "psp", ("b", "c"), 1))
    return EvaluationReport({"crop": "whole", "left_out": {}}, methods, tuple(rows))


def test_means_are_over_photos_that_all_methods_could_use(report: EvaluationReport):
    assert report.failed == {"bad.png": "it went wrong"} and report.measured == ("a.png", NASTY)
    assert report.means["encoder/psnr"] == 22.0


def test_seeds_are_averaged_photo_by_photo_and_reported_apart(report: EvaluationReport):
    assert report.values("second", "encoder/psnr") == {"a.png": 22.0, NASTY: 28.0}
    seeds = report.to_dict()["methods"][1]["seeds"]
    assert [seed["means"]["encoder/psnr"] for seed in seeds] == [24.0, 26.0]
    assert [seed["file"] for seed in seeds] == ["b", "c"]


def test_differences_are_to_the_first_method_on_the_same_photos(report: EvaluationReport):
    found = report.differences["second", "encoder/psnr"]
    assert (found.mean, found.low, found.high, found.count) == (3.0, 2.0, 4.0, 2)
    assert report.differences["second", "encoder/pose_error"].count == 1  # the other photo has none of the first's
    assert "**+3.00** [+2.00, +4.00]" in report.to_markdown()


def test_sets_are_compared_for_each_seed(report: EvaluationReport):
    by_seed = report.sets["second", "encoder/frechet_vgg"]
    assert not any(figure.endswith(("fid", "kid")) for _, figure in report.sets)  # no features of Inception
    assert set(by_seed) == {0, 1} and len(set(by_seed.values())) == 2
    assert report.set_mean("second", "encoder/frechet_vgg") == pytest.approx(sum(by_seed.values()) / 2)


def test_data_is_json_without_numbers_that_are_none(report: EvaluationReport):
    text = json.dumps(report.to_dict(), allow_nan=False)
    rows = json.loads(text)["photos"]
    assert len(rows) == 9 and rows[2]["figures"]["encoder/pose_error"] is None
    assert rows[7]["error"] == "it went wrong" and rows[7]["figures"] == {}


def test_csv_has_a_row_for_every_photo_method_and_seed(report: EvaluationReport):
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert len(rows) == 9
    assert (rows[3]["photo"], rows[3]["method"], float(rows[3]["encoder/psnr"])) == (NASTY, "first", 24.0)
    assert rows[3]["encoder/pose_error"] == "" and rows[7]["error"] == "it went wrong"


def test_best_mean_of_a_row_is_bold_in_the_direction_of_the_measure(report: EvaluationReport):
    table = {cells[0]: cells[1:] for cells in report.main_table()}
    assert table["PSNR (dB) ↑"][1].startswith("**25.00**") and "**" not in table["PSNR (dB) ↑"][0]
    assert table["Identity (L2) ↓"][1].startswith("**") and "**" not in table["Identity (L2) ↓"][0]


class Tags(HTMLParser):
    """What a page contains."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_page_needs_no_network_and_shows_plots_and_pictures(report: EvaluationReport):
    text = page(report)
    tags = Tags()
    tags.feed(text)
    sources = [attributes.get("src") or "" for tag, attributes in tags.found if tag == "img"]
    assert sum(source.startswith("data:image/svg+xml") for source in sources) == 2  # no turned views here
    assert sum(source.startswith("data:image/jpeg") for source in sources) == 2 * (1 + 2 * 3)
    assert len(sources) == 2 + 14
    assert not {"script", "link", "iframe"} & {tag for tag, _ in tags.found}
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)


def test_page_shows_names_as_text(report: EvaluationReport):
    text = page(report)
    assert NASTY not in text and "&lt;b&gt;&quot;photo&quot; &amp; |co|.png" in text


def test_page_without_plots_says_what_is_missing(report: EvaluationReport, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install matplotlib" in page(report)


def test_nothing_measured_still_makes_files(tmp_path: Path):
    failed = PhotoScores("a.png", "first", error="No face found.")
    report = EvaluationReport({}, (ReportedMethod("first", "3dpsp", ("a",), 5),), (failed,))
    write_report(report, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"evaluation.{end}" for end in ("json", "csv", "md", "html")}
    assert "No face found." in (tmp_path / "evaluation.html").read_text(encoding="utf-8")
    assert report.means == {}


def test_every_measure_says_what_it_is():
    assert all(measure.title and (measure.words or name == "peak_memory") for name, measure in MEASURES.items())
    assert measure_of("pose_error_yaw15").heading == "Pose error at ±15° (degrees) ↓"
    assert measure_of("unheard_of").title == "unheard_of"
