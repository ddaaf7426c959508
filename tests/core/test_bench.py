"""The bench: jobs run, sides differ in what they should, figures come out as promised. Not how fast anything is."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from threedpsp.bench import growth, kept_memory, thread_count
from threedpsp.bench.__main__ import Bench
from threedpsp.bench.compare import Result
from threedpsp.bench.jobs import JOBS, Task
from threedpsp.bench.sides import environment
from threedpsp.bench.table import markdown
from threedpsp.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
RESULT = Result("render", 2, 3.0, 2.5, 0.5, 900.0, 400.0, 3)


@pytest.mark.parametrize("published", [True, False], ids=["published", "ours"])
@pytest.mark.parametrize("job", ["render", "render_head", "render_backward", "turntable"])
def test_jobs_run(job: str, published: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREEDPSP_KERNELS", "published" if published else "auto")
    with torch.no_grad():
        Task(job, published, quick=True).step()()  # type: ignore[arg-type]


def test_published_side_has_the_default_allocator_and_plain_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MALLOC_MMAP_MAX_", "THREEDPSP_ALLOCATOR"):
        monkeypatch.setenv(name, "1")
    published, tuned, ours = (environment(side, 2) for side in ("published", "published_tuned", "ours"))
    assert published["THREEDPSP_ALLOCATOR"] == "default"
    assert not any(name.startswith("MALLOC_") for side in (published, tuned, ours) for name in side)
    assert published["THREEDPSP_KERNELS"] == tuned["THREEDPSP_KERNELS"] == "published"
    assert "THREEDPSP_ALLOCATOR" not in {*tuned, *ours}
    assert ours["THREEDPSP_KERNELS"] == "auto"
    assert {side["OMP_NUM_THREADS"] for side in (published, tuned, ours)} == {"2"}


def test_json_is_the_last_line() -> None:
    command = [
        sys.executable,
        "-m",
        "threedpsp.bench",
        "render",
        "--quick",
        "--rounds",
        "1",
        "--threads",
        "1",
        "--json",
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["job"] == "render" and found["threads"] == 1
    assert found["ratio"] == pytest.approx(found["reference_s"] / found["ours_s"], rel=0.05)
    assert found["peak_mb"] > 50 and found["reference_mb"] > 50


def test_a_failed_process_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-m", "threedpsp.bench.worker", json.dumps({"job": "none"})]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode
    command = [sys.executable, "-m", "threedpsp.bench", "render", "--rounds", "0"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode
    assert "at least 1" in ran.stderr


def test_figures_are_named_and_in_the_table() -> None:
    assert RESULT.to_dict()["ratio"] == 6.0
    row = markdown([RESULT]).splitlines()[-1]
    assert row == "| render | 2 | 3.000 | 2.500 | 0.500 | 6.00 | 900 | 400 |"
    assert len(row.split("|")) == len(markdown([]).splitlines()[0].split("|"))
    assert set(JOBS) >= {"render", "synthesis", "inversion", "tuning", "training", "demo"}


def test_growth_covers_what_grows_and_draws_it(tmp_path: Path) -> None:
    asked = list(growth.jobs())
    assert {size for _, sizes in asked for size in sizes} == {"resolution", "samples", "frames", "batch"}
    results = [
        dataclasses.replace(RESULT, job=job, sizes=sizes, ours_s=0.1 * number, reference_s=number)
        for number, (job, sizes) in enumerate(asked, 1)
    ]
    growth.draw(results, tmp_path / "growth.png")
    with Image.open(tmp_path / "growth.png") as picture:
        assert picture.width > 3 * picture.height
    assert "| render resolution 32 | 2 |" in markdown(results)


@pytest.mark.parametrize(("size", "value"), [("resolution", 8), ("samples", 5), ("frames", 2), ("batch", 2)])
def test_sizes_reach_the_job(size: str, value: int) -> None:
    job, _ = growth.SERIES[size]
    with torch.no_grad():
        made = Task(job, published=False, quick=True, **{size: value}).step()()  # type: ignore[arg-type]
    if size == "resolution":
        assert made.features.shape[1] == value**2  # type: ignore[attr-defined]
    if size == "batch":
        assert len(made.image) == value  # type: ignore[attr-defined]


def test_a_plot_belongs_to_growth() -> None:
    with pytest.raises(InputError, match="belongs to the job 'growth'"):
        Bench("render", plot=Path("plot.png"))


def test_what_asking_for_threads_costs_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setattr(thread_count, "USES", 3)
    try:
        thread_count.main()
    finally:
        torch.set_num_threads(threads)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a use: ") and [line.split()[3] for line in lines[1:]] == ["0", "100"]


def test_memory_is_told_as_a_session_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("THREEDPSP_ALLOCATOR", "default")
    monkeypatch.setattr(kept_memory, "RENDERS", 1)
    monkeypatch.setattr(kept_memory, "PIECES", 2)
    monkeypatch.setattr(kept_memory, "Task", functools.partial(Task, quick=True))
    kept_memory.session()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and all(" MB" in line for line in lines)
