"""`threedpsp weights`: the list, what a file is, conversion, and a download only with consent."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from tests.core.small_model import save_small_model
from tests.golden import golden_path
from threedpsp.cli import main
from threedpsp.weights import download as download_module
from threedpsp.weights import recognise as recognising
from threedpsp.weights.catalogue import CATALOGUE, EMBEDDED_ENCODERS, Entry
from threedpsp.weights.download import Downloaded
from threedpsp.weights.recognise import Recognised

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty home and current folder."""
    for name in ("THREEDPSP_WEIGHTS", "COMFYUI_PATH", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("home", "current"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "current")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_model(tmp_path_factory.mktemp("model"))


class Terminal(io.StringIO):
    """A stdin that somebody sits at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Entry, Path]]:
    """What would have been downloaded; nothing is."""
    calls: list[tuple[Entry, Path]] = []

    def stand_in(entry: Entry, folder: Path, **options: Any) -> Downloaded:
        calls.append((entry, folder))
        options["on_progress"](5_000_000, 10_000_000)
        return Downloaded(folder / entry.file, ("size: checked", "sha256: not known to us"))

    monkeypatch.setattr(download_module, "download", stand_in)
    return calls


def test_list_names_every_file_and_what_is_unknown(tmp_path: Path, capsys: Capture):
    assert main(["weights", "list"]) == 0
    printed = capsys.readouterr().out
    for entry in CATALOGUE:
        for text in (entry.file, entry.licence, entry.page):
            assert text in printed
    assert "tiny  [present]" in printed and "3dpsp  [missing]" in printed and "size: not known" in printed
    assert str(tmp_path / "home" / ".cache" / "threedpsp") in printed


def test_list_shows_where_a_file_was_found(tmp_path: Path, capsys: Capture):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "3DpSp.pt").write_bytes(b"weights")
    assert main(["weights", "list", "--json", "--weights-dir", str(tmp_path / "w")]) == 0
    listed = json.loads(capsys.readouterr().out)
    by_name = {entry["name"]: entry for entry in listed["weights"]}
    assert set(by_name) == {entry.name for entry in CATALOGUE}
    assert by_name["3dpsp"]["present"] and by_name["3dpsp"]["path"] == str(tmp_path / "w" / "3DpSp.pt")
    assert not by_name["deep3d"]["present"] and by_name["deep3d"]["path"] is None
    assert by_name["deep3d"]["size"] is None and "sicxu" in by_name["deep3d"]["get"]
    assert listed["searched"][0] == str(tmp_path / "w")


def test_check_knows_an_official_generator(tmp_path: Path, capsys: Capture):
    path = golden_path("eg3d_official_format.pkl")
    assert main(["weights", "check", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "eg3d-generator" and found["usable"] and len(found["facts"]["sha256"]) == 64


def test_check_says_which_encoder_a_generator_lacks(tmp_path: Path, capsys: Capture):
    path = tmp_path / "ffhqrebalanced512-128.pkl"
    path.write_bytes(golden_path("eg3d_official_format.pkl").read_bytes())
    assert main(["weights", "check", path.name, "--weights-dir", str(tmp_path)]) == 0
    assert "the encoder 3dpsp goes with it: missing. Run 'threedpsp weights download 3dpsp'" in capsys.readouterr().out


def test_check_shows_an_encoders_generator(model: Path, capsys: Capture):
    assert main(["weights", "check", str(model / "encoder.safetensors")]) == 0
    printed = capsys.readouterr().out
    assert "kind: encoder" in printed and "belongs to the generator with the fingerprint" in printed


@pytest.mark.parametrize(
    ("file", "kind", "generator"),
    [
        ("3DpSp.pt", "encoder", "ffhqrebalanced512-128"),
        ("triplanenet_v2_final.pth", "triplanenet", "ffhq512-128"),
        ("mine.pt", "encoder", None),
    ],
)
def test_check_names_the_generator_of_an_official_encoder(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, file: str, kind: str, generator: str | None
):
    """Its content is a stand-in: real ones take gigabytes."""
    (tmp_path / file).write_bytes(b"weights")
    monkeypatch.setattr(recognising, "recognise", lambda path: Recognised(kind, "an encoder", {}, {}))
    assert main(["weights", "check", str(tmp_path / file)]) == 0
    expected = "a generator that the file does not name" if generator is None else f"the generator {generator}: missing"
    assert expected in capsys.readouterr().out


def test_check_of_an_incomplete_file_says_what_is_missing(model: Path, tmp_path: Path, capsys: Capture):
    with safe_open(model / "encoder.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if name != "latlayer2.bias"}  # noqa: SIM118
        save_file(tensors, tmp_path / "part.safetensors", file.metadata())
    assert main(["weights", "check", str(tmp_path / "part.safetensors")]) == 6
    assert "missing: latlayer2.bias" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "cause"), [(b"", "empty"), (b"hello, I am no weights file", "none of the formats"), (None, "no file")]
)
def test_check_of_no_weights_file_ends_with_code_6(tmp_path: Path, capsys: Capture, content: bytes | None, cause: str):
    path = tmp_path / "x.pt"
    if content is not None:
        path.write_bytes(content)
    assert main(["weights", "check", str(path)]) == 6
    error = capsys.readouterr().err
    assert cause in error and str(path) in error


def test_check_of_a_folder_names_the_files_in_it(model: Path, capsys: Capture):
    assert main(["weights", "check", str(model)]) == 6
    assert "encoder.safetensors, generator.safetensors" in capsys.readouterr().err


def test_converted_generator_loads_and_is_the_same(tmp_path: Path, capsys: Capture):
    from threedpsp.weights.load import load_generator

    official = golden_path("eg3d_official_format.pkl")
    target = tmp_path / "out" / "generator.safetensors"
    assert main(["weights", "convert", str(official), "-o", str(target), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(target)
    assert load_generator(target, "cpu").fingerprint == load_generator(official, "cpu").fingerprint


def test_converted_encoder_remembers_its_generator(model: Path, tmp_path: Path):
    target = tmp_path / "e.safetensors"
    arguments = ["weights", "convert", str(model / "encoder.safetensors"), "-o", str(target)]
    assert main([*arguments, "--generator", str(model / "generator.safetensors")]) == 0
    assert main(["weights", "check", str(target)]) == 0


def test_convert_to_a_place_that_does_not_exist_leaves_nothing_on_failure(tmp_path: Path, capsys: Capture):
    (tmp_path / "x.pt").write_bytes(b"nothing of use")
    assert main(["weights", "convert", str(tmp_path / "x.pt"), "-o", str(tmp_path / "new" / "y.safetensors")]) == 6
    assert not (tmp_path / "new").exists()


def test_download_asks_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, fetched: list[Any], tmp_path: Path
):
    monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
    assert main(["weights", "download", "ffhqrebalanced512-128"]) == 0
    printed = capsys.readouterr()
    assert "NVIDIA Source Code License" in printed.err and "[y/N]" in printed.err and "size: not known" in printed.err
    assert [(entry.name, folder) for entry, folder in fetched] == [
        ("ffhqrebalanced512-128", tmp_path / "home" / ".cache" / "threedpsp")
    ]
    assert "sha256: not known to us" in printed.out


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "perhaps\n"])
def test_download_does_nothing_without_consent(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, fetched: list[Any], answer: str
):
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert main(["weights", "download", "arcface"]) == 2
    assert "not accepted" in capsys.readouterr().err and not fetched


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_download_without_a_terminal_needs_yes(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, fetched: list[Any], options: list[str]
):
    monkeypatch.setattr(sys, "stdin", Terminal("y\n") if options else io.StringIO("y\n"))
    assert main(["weights", "download", "arcface", *options]) == 2
    assert "--yes" in capsys.readouterr().err and not fetched


def test_download_with_yes_states_the_licence_and_goes_on(tmp_path: Path, capsys: Capture, fetched: list[Any]):
    assert main(["weights", "download", "3DpSp.pt", "--yes", "--weights-dir", str(tmp_path / "w")]) == 0
    printed = capsys.readouterr()
    assert "its authors name no licence" in printed.err and "3DpSp.pt: 5 of 10 MB" in printed.err
    assert fetched[0][1] == tmp_path / "w"


def test_file_that_is_there_is_not_fetched(tmp_path: Path, capsys: Capture, fetched: list[Any]):
    (tmp_path / "3DpSp.pt").write_bytes(b"weights")
    arguments = ["weights", "download", "3dpsp", "--yes", "--weights-dir", str(tmp_path)]
    assert main(arguments) == 0
    assert "is there already" in capsys.readouterr().out and not fetched
    assert main([*arguments, "--again"]) == 0
    assert len(fetched) == 1


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("", 2, "Example: threedpsp weights download"),
        ("tiny", 2, "part of this package"),
        ("no-such", 6, "Known names"),
        ("../../etc/passwd", 6, "No weights called"),
        ("triplanenet-v2", 6, "drive.google.com"),
        ("deep3d", 6, "put it into"),
    ],
)
def test_download_of_what_cannot_be_fetched_is_explained(
    capsys: Capture, fetched: list[Any], name: str, code: int, text: str
):
    assert main(["weights", "download", *([name] if name else []), "--yes"]) == code
    assert text in capsys.readouterr().err and not fetched


@pytest.mark.parametrize("command", [[], ["list"], ["check"], ["convert"], ["download"]])
def test_help_is_there(command: list[str], capsys: Capture):
    with pytest.raises(SystemExit) as ended:
        main(["weights", *command, "--help"])
    assert ended.value.code == 0 and "threedpsp weights" in capsys.readouterr().out


def test_generator_and_model_are_the_same_option(capsys: Capture):
    for option in ("--generator", "--model"):
        assert main(["render", "missing.safetensors", option, "nothing-of-this-name"]) != 0


def test_list_and_check_know_the_embedded_encoders(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture):
    monkeypatch.setitem(EMBEDDED_ENCODERS, "tiny-psp", model / "encoder.safetensors")
    monkeypatch.setitem(EMBEDDED_ENCODERS, "tiny-e4e", model / "absent.safetensors")
    assert main(["weights", "list"]) == 0
    said = capsys.readouterr().out
    assert "tiny-psp  [present]" in said and "tiny-e4e  [missing]" in said
    assert main(["weights", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["embedded_encoders"]
    ours = str(EMBEDDED_ENCODERS["tiny-3dpsp"])
    assert listed == {"tiny-3dpsp": ours, "tiny-psp": str(model / "encoder.safetensors"), "tiny-e4e": None}
    assert main(["weights", "check", "tiny-psp", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["usable"]
    assert main(["weights", "check", "tiny-e4e"]) == 6
    assert "its file is missing" in capsys.readouterr().err
    assert main(["weights", "download", "tiny-psp"]) == 2
