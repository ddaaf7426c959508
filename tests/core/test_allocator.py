"""glibc keeps freed memory from the first load of a generator on: in the main thread, and not where unwanted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from threedpsp import allocator
from threedpsp.allocator import keep_freed_memory

ROOT = Path(__file__).resolve().parents[2]
FAULTS = """
import resource, threading, torch
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(16, 1 << 20)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 8
"""
"""Pages fetched for a tensor of 64 MB: 16384 (fewer where pages are larger) unless its memory was there already."""
LOAD = "import threedpsp; threedpsp.load_generator('tiny', device='cpu')\n"
on_glibc = pytest.mark.skipif(
    sys.platform != "linux" or allocator.platform.libc_ver()[0] != "glibc", reason="this allocator is not glibc's"
)


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv(allocator.OPT_OUT, raising=False)
    allocator._tuned.cache_clear()
    yield
    allocator._tuned.cache_clear()


def printed(code: str) -> list[int]:
    """The numbers that a fresh process prints."""
    ran = subprocess.run([sys.executable, "-c", FAULTS + code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [int(word) for word in ran.stdout.split()]


@on_glibc
def test_the_first_load_of_a_generator_keeps_freed_memory() -> None:
    fetched, kept = printed("print(faults())\n" + LOAD + "faults()\nprint(faults())")  # the first time room is made
    assert kept < fetched / 10


@on_glibc
def test_importing_changes_nothing() -> None:
    before, after = printed("print(faults())\nimport threedpsp, threedpsp.cli\nthreedpsp.load\nprint(faults())")
    assert after > before / 2


@on_glibc
def test_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREEDPSP_ALLOCATOR", "default")
    before, after = printed("print(faults())\n" + LOAD + "print(faults())")
    assert after > before / 2


@on_glibc
def test_a_load_in_another_thread_changes_nothing() -> None:
    """As in ComfyUI: its pools take nothing from what is kept, and other models' memory goes back as ever."""
    code = "import threedpsp\nload = threading.Thread(target=threedpsp.load_generator, kwargs={'device': 'cpu'})\n"
    before, after = printed("print(faults())\n" + code + "load.start()\nload.join()\nprint(faults())")
    assert after > before / 2


@pytest.mark.parametrize("name", ["MALLOC_MMAP_MAX_", "MALLOC_ARENA_MAX", "LD_PRELOAD", "GLIBC_TUNABLES"])
def test_what_the_user_chose_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "")
    assert not keep_freed_memory()


@pytest.mark.parametrize(("system", "libc"), [("darwin", "glibc"), ("win32", "glibc"), ("linux", "musl")])
def test_other_systems_are_left_alone(system: str, libc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.sys, "platform", system)
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: (libc, "2.36"))
    assert not keep_freed_memory()


def test_does_without_cffi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cffi", None)
    assert not keep_freed_memory()
