"""Limits of processor time that control groups set, version 2 and 1; how many threads have room."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from threedpsp import device
from threedpsp.cpu_limits import cpu_limit
from threedpsp.training.encoders import run
from threedpsp.training.encoders.config import TrainConfig
from threedpsp.training.encoders.processes import Processes


def limit(folder: Path, own: str, files: dict[str, str]) -> float | None:
    """The limit by these files."""
    (folder / "own").write_text(own)
    for name, text in files.items():
        path = folder / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return cpu_limit(folder / "own", folder / "groups")


def test_version_2(tmp_path: Path) -> None:
    assert limit(tmp_path, "0::/\n", {"cpu.max": "150000 100000\n"}) == 1.5


def test_version_1_beside_other_controllers(tmp_path: Path) -> None:
    own = "9:name=systemd:/\n4:memory:/job\n2:cpu,cpuacct:/job\n1:cpuset:/\n0::/\n"
    files = {"cpu,cpuacct/job/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n"}
    assert limit(tmp_path, own, files) == 3


@pytest.mark.parametrize(("outer", "inner"), [("200000", "400000"), ("400000", "200000"), ("200000", "max")])
def test_the_smallest_limit_on_the_way_up_counts(outer: str, inner: str, tmp_path: Path) -> None:
    files = {"user/cpu.max": f"{outer} 100000", "user/job/cpu.max": f"{inner} 100000"}
    assert limit(tmp_path, "0::/user/job", files) == 2


def test_a_container_that_sees_only_its_own_group(tmp_path: Path) -> None:
    assert limit(tmp_path, "0::/docker/4711", {"cpu.max": "50000 100000"}) == 0.5


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/", {"cpu.max": "max 100000"}),
        ("0::/", {}),
        ("", {}),
        ("2:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}),
        ("0::/", {"cpu.max": "something new"}),
    ],
)
def test_no_limit(own: str, files: dict[str, str], tmp_path: Path) -> None:
    assert limit(tmp_path, own, files) is None


def test_a_system_without_groups_has_no_limit(tmp_path: Path) -> None:
    assert cpu_limit(tmp_path / "own", tmp_path / "groups") is None


@pytest.mark.parametrize(
    ("cores", "allowed", "threads"), [(8, None, 8), (8, 2.0, 2), (8, 1.5, 2), (8, 0.5, 1), (2, 4.0, 2)]
)
def test_threads_have_room_where_affinity_and_groups_allow(
    cores: int, allowed: float | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    monkeypatch.setattr(device, "cpu_limit", lambda: allowed)
    assert device.available_threads() == threads


def test_a_training_keeps_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "available_threads", lambda: 2)
    processes = object.__new__(Processes)
    processes.device = torch.device("cpu")
    before = torch.get_num_threads()
    try:
        for given, kept in ((4, 2), (1, 1)):
            torch.set_num_threads(given)
            run._settings(TrainConfig(), processes)
            assert torch.get_num_threads() == kept
    finally:
        torch.set_num_threads(before)
