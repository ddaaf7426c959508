"""How the real command ends: Ctrl-C, a reader that leaves, wrong arguments for a script, and silence when asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from threedpsp.cli import main
from threedpsp.cli.check import Check
from threedpsp.cli.waiting import waiting

ROOT = Path(__file__).resolve().parents[2]


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python that may change the command before it runs."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "THREEDPSP_ALLOCATOR": "default"}
    command = [sys.executable, "-c", f"import sys\n{code}", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


INTERRUPTED = """
import os, signal
from threedpsp.cli import main
from threedpsp.cli.check import Check
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
Check.run = lambda command: os.kill(os.getpid(), signal.SIGINT) or signal.pause()
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("options", [[], ["--json", "--quiet"]], ids=["plain", "json"])
def test_ctrl_c_is_one_line_and_code_130(options: list[str]):
    done = run(INTERRUPTED, "check", *options)
    assert done.returncode == 130
    assert done.stderr == "Stopped.\n"
    if options:
        assert json.loads(done.stdout) == {"error": "Stopped.", "kind": "KeyboardInterrupt", "exit_code": 130}
    else:
        assert done.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
@pytest.mark.parametrize("arguments", [["--help"], ["weights", "list"]], ids=" ".join)
def test_reader_that_leaves_is_no_error_to_speak_of(arguments: list[str]):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "threedpsp", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment, text=True, timeout=300)
    os.close(writer)
    assert done.stderr == "" and done.returncode == 1


@pytest.mark.parametrize("words", [["demo", "--fps-of-love", "3", "--json"], ["dmo", "--json"]], ids=" ".join)
def test_wrong_arguments_are_json_for_scripts(words: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert (told["kind"], told["exit_code"]) == ("UsageError", 2)
    assert printed.err


def test_quiet_still_shows_errors(capsys: pytest.CaptureFixture[str]):
    assert main(["invert", "nowhere.jpg", "--quiet", "--json"]) == 2
    printed = capsys.readouterr()
    assert "There is no file nowhere.jpg" in printed.err
    assert json.loads(printed.out)["kind"] == "InputError"


def test_long_silence_is_broken_by_a_line(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr("threedpsp.cli.waiting.PATIENCE", 0.01)
    monkeypatch.setattr("threedpsp.cli.waiting.LINE_EVERY", 0.01)
    with waiting("read x.pt", said.append, live=False):
        wait_until(lambda: len(said) > 1)
    assert said[0] == "read x.pt ..." and said[1].endswith("s so far")


@pytest.mark.parametrize("quiet", [True, False], ids=["quiet", "plain"])
def test_quiet_waits_in_silence(quiet: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr("threedpsp.cli.waiting.PATIENCE", 0.01)
    with Check(quiet=quiet).waiting("work"):
        time.sleep(1.0)
    assert capsys.readouterr().err == ("" if quiet else "work ...\n")
