"""What a newcomer sees of the command: help, suggestions, completion, and consoles of all kinds."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from threedpsp.cli import parse
from threedpsp.cli.commands import COMMANDS, Group, Leaf
from threedpsp.cli.help_text import EXAMPLES, EXIT_CODES
from threedpsp.errors import ThreeDPSPError

ROOT = Path(__file__).resolve().parents[2]
LEAVES = {
    **{(name,): leaf for name, leaf in COMMANDS.items() if isinstance(leaf, Leaf)},
    **{
        (n, word): leaf
        for n, group in COMMANDS.items()
        if isinstance(group, Group)
        for word, leaf in group.commands.items()
    },
}
GROUPS = [name for name, group in COMMANDS.items() if isinstance(group, Group)]
PAGES = [(), *LEAVES, *((name,) for name in GROUPS)]
OUR_EXAMPLES = sorted({example for leaf in LEAVES.values() for example in leaf.options.examples} | set(EXAMPLES))


def threedpsp(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The real command, on a console of 80 columns; a variable "" is unset."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"} | variables
    command = [sys.executable, "-m", "threedpsp", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300)


def help_of(words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        parse([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_every_help_fits_and_ends_with_examples_and_exit_codes(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    text = help_of(words, capsys, monkeypatch)
    # tyro writes the usage of a command with few options as one line, however wide
    assert [line for line in text.splitlines() if len(line) > 80 and not line.startswith("usage: ")] == []
    assert f"usage: {' '.join(('threedpsp', *words))} " in text
    ending = text[text.index("Examples:\n  threedpsp ") :]
    listed = [int(code) for code in re.findall(r"^  (\d+) ", ending[ending.index("Exit codes:") :], re.MULTILINE)]
    assert listed == list(EXIT_CODES)


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_has_json_and_quiet(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    text = help_of(words, capsys, monkeypatch)
    assert "--json " in text and "--quiet " in text


@pytest.mark.parametrize("words", [w for w in LEAVES if w[0] != "train"], ids=" ".join)
def test_no_help_shows_what_only_python_says(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    text = help_of(words, capsys, monkeypatch)
    assert "None" not in text and "default: True" not in text and "default: False" not in text
    assert "FLOAT" not in text


def test_every_summary_is_one_line():
    for command in [*COMMANDS.values(), *LEAVES.values()]:
        assert 10 < len(command.line) <= 64 and command.line.endswith("."), command.line


@pytest.mark.parametrize("example", OUR_EXAMPLES)
def test_every_example_is_a_command_that_there_is(example: str):
    name, *words = shlex.split(example)
    assert name == "threedpsp"
    if words[-1] != "--help":
        assert parse(words).examples


def test_every_error_has_a_listed_exit_code():
    errors = [ThreeDPSPError, *ThreeDPSPError.__subclasses__()]
    errors += [grandchild for child in errors[1:] for grandchild in child.__subclasses__()]
    codes = {error.exit_code for error in errors if error.__module__.startswith("threedpsp.")}
    assert codes <= set(EXIT_CODES)


def test_command_alone_shows_the_help_with_all_commands():
    alone = threedpsp()
    assert alone.returncode == 0 and alone.stderr == ""
    assert alone.stdout == threedpsp("--help").stdout
    assert all(f"\n  {name} " in alone.stdout for name in COMMANDS)


def test_version_is_the_projects():
    shown = threedpsp("--version")
    assert shown.returncode == 0
    assert f'version = "{shown.stdout.split()[1]}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["invrt", "me.jpg"], "Did you mean 'invert'?"),
        (["weights", "downlod", "x"], "Did you mean 'download'?"),
        (["train", "tinycpu"], "Did you mean 'tiny_cpu'?"),
        (["xyzzy"], "There are: demo, invert,"),
        (["weights"], "needs a command after it: list, check"),
        (["--device", "cpu", "demo"], "options of a command stand after it"),
        (["--print-completion", "csh"], "takes one of bash, zsh, fish, tcsh; got 'csh'"),
        (["--print-completion"], "takes one of bash, zsh, fish, tcsh"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_word_is_answered_with_the_right_one(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert hint in printed.err and printed.err.count("\n") == 1 and printed.out == ""


@pytest.mark.parametrize(
    "words", [["--json", "weights", "list"], ["weights", "--json", "list"], ["weights", "list", "--json"]]
)
def test_json_may_stand_anywhere(words: list[str]):
    assert parse(words).json and not parse(words).quiet


def test_shell_completion_for_bash_completes(tmp_path: Path):
    script = threedpsp("--print-completion", "bash")
    assert script.returncode == 0, script.stderr
    (tmp_path / "threedpsp.bash").write_text(script.stdout)
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    subprocess.run([bash, "-n", "threedpsp.bash"], cwd=tmp_path, check=True)
    asking = """source ./threedpsp.bash
function_name=$(complete -p threedpsp | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); $function_name; echo "${COMPREPLY[@]}"; }
ask threedpsp ''; ask threedpsp weights ''; ask threedpsp train tin; ask threedpsp invert --refine-se
"""
    answered = subprocess.run([bash, "-c", asking], cwd=tmp_path, capture_output=True, text=True, check=True)
    top, weights, preset, option = (line.split() for line in answered.stdout.splitlines())
    assert set(COMMANDS) <= set(top)
    assert {"list", "check", "convert", "download"} <= set(weights)
    assert preset == ["tiny_cpu"] and option == ["--refine-seconds"]


@pytest.mark.parametrize("shell", ["zsh", "fish", "tcsh"])
def test_shell_completion_for_others_knows_the_commands(shell: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        parse(["--print-completion", shell])
    assert ended.value.code == 0
    script = capsys.readouterr().out
    assert all(re.search(rf"\b{re.escape(name)}\b", script) for name in [*COMMANDS, "download", "tiny_cpu"])


@pytest.mark.parametrize("words", [["--help"], ["invert", "--help"], ["train", "tiny_cpu", "--help"]], ids=" ".join)
def test_help_never_waits_for_torch(words: list[str]):
    code = f"""
import sys
from threedpsp.cli import main
try:
    main({words!r})
except SystemExit:
    print(*(name for name in ("torch", "numpy", "PIL", "mediapipe") if name in sys.modules), file=sys.stderr)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert "usage: threedpsp" in done.stdout and done.stderr.split() == []


@pytest.mark.parametrize("words", [["--help"], ["prepare", "--help"], ["weights", "list"], ["demo", "--fps-of-love"]])
def test_console_without_utf8_is_no_problem(words: list[str]):
    shown = threedpsp(*words, PYTHONIOENCODING="ascii")
    assert shown.returncode == (2 if words[0] == "demo" else 0), shown.stderr
    assert "Traceback" not in shown.stderr and (shown.stdout + shown.stderr).isascii()


def test_name_of_a_file_that_the_console_cannot_show_is_no_problem(tmp_path: Path):
    shown = threedpsp("invert", str(tmp_path / "größe-写真.jpg"), "--json", PYTHONIOENCODING="ascii")
    assert shown.returncode == 2
    assert "There is no file" in shown.stderr and "Traceback" not in shown.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color_is_respected_on_a_terminal(no_color: str, coloured: bool):
    import pty

    terminal, end = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "NO_COLOR": no_color, "COLUMNS": "80"}
    command = [sys.executable, "-m", "threedpsp", "check", "--help"]
    process = subprocess.Popen(command, stdout=end, stderr=end, stdin=end, env=environment)
    os.close(end)
    shown = bytearray()
    try:
        while part := os.read(terminal, 4096):
            shown += part
    except OSError:  # Linux's end of file on a terminal
        pass
    os.close(terminal)
    assert process.wait(timeout=300) == 0
    assert b"usage: threedpsp check" in re.sub(rb"\x1b\[[0-9;]*m", b"", bytes(shown))
    assert (b"\x1b[" in shown) == coloured


def test_help_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit):
        parse(["invert", "--help"])
    narrow = capsys.readouterr().out
    assert [line for line in narrow.splitlines() if len(line) > 60 and not line.startswith("usage: ")] == []
