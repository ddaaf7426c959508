"""The command starts itself again with glibc's settings: once, on Linux with glibc, and not where unwanted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from threedpsp.cli import allocator
from threedpsp.cli.allocator import TUNED, tuned_environment

ROOT = Path(__file__).resolve().parents[2]
SHOW = "import os, sys; from threedpsp.cli.allocator import restart_with_tuned_allocator as restart; restart(); "
SHOW += "print(os.getpid(), os.environ.get('MALLOC_MMAP_MAX_'), sys.argv[1:], sys.flags.dont_write_bytecode)"
on_glibc = pytest.mark.skipif(tuned_environment({}) is None, reason="this system's allocator is not glibc's")


def started(code: str, **variables: str) -> tuple[int, list[str]]:
    """The process started, and the words it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in TUNED} | variables
    process = subprocess.Popen(
        [sys.executable, "-B", "-c", code, "a b"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return process.pid, out.split(maxsplit=2)


@on_glibc
def test_restarts_once_in_the_same_process_with_all_arguments() -> None:
    pid, words = started(SHOW)
    assert words == [str(pid), "0", "['a b'] 1\n"]


@on_glibc
def test_can_be_switched_off() -> None:
    assert started(SHOW, THREEDPSP_ALLOCATOR="default")[1][1] == "None"


@on_glibc
def test_does_nothing_once_torch_is_loaded() -> None:
    assert started("import torch; " + SHOW)[1][1] == "None"


@pytest.mark.parametrize("name", [*TUNED, "LD_PRELOAD", "GLIBC_TUNABLES"])
def test_what_the_user_chose_stays(name: str) -> None:
    assert tuned_environment({name: "1"}) is None


@pytest.mark.parametrize(("system", "libc"), [("darwin", "glibc"), ("win32", "glibc"), ("linux", "musl")])
def test_other_systems_are_left_alone(system: str, libc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.sys, "platform", system)
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: (libc, "2.36"))
    assert tuned_environment({}) is None


def test_importing_and_calling_main_with_arguments_restart_nothing() -> None:
    code = "import os, threedpsp.cli as cli\nos.execve = None\n"
    code += "try:\n cli.main(['--help'])\nexcept SystemExit:\n print(1, 2, 3)"
    assert started(code)[1][-1].endswith("1 2 3\n")
