"""Which systems a command line means, and what is said where their files are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.evaluation_models import save_models
from threedpsp.eg3d.generator import Generator
from threedpsp.errors import InputError, WeightsError
from threedpsp.evaluation.methods import MethodSpec, load_method, parse_methods, steps_of
from threedpsp.weights.catalogue import EMBEDDED_ENCODERS
from threedpsp.weights.load import load_inverter
from threedpsp.weights.systems import load_generator


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def generator(folder: Path) -> Generator:
    return load_generator(folder, device="cpu")


def test_names_files_and_seeds_are_told_apart():
    assert parse_methods("3dpsp, psp,mine=a.pt+b.pt") == (
        MethodSpec("3dpsp"),
        MethodSpec("psp"),
        MethodSpec("mine", ("a.pt", "b.pt")),
    )
    assert parse_methods("psp=a.pt,3dpsp=c.pt,psp=b.pt") == (
        MethodSpec("psp", ("a.pt", "b.pt")),
        MethodSpec("3dpsp", ("c.pt",)),
    )


@pytest.mark.parametrize("text", ["", "3dpsp,", "=a.pt", "psp=", "psp=a.pt+", "psp,psp", "psp=a.pt,psp", "a/b"])
def test_what_names_no_methods_is_refused(text: str):
    with pytest.raises(InputError, match="Methods are names, or NAME=FILE"):
        parse_methods(text)


@pytest.mark.parametrize(
    ("text", "system", "steps"),
    [("3dpsp", "3dpsp", 3), ("psp", "psp", None), ("e4e", "e4e", None), ("pti", "pti", None)],
)
def test_systems_are_found_beside_the_generator(
    text: str, system: str, steps: int | None, folder: Path, generator: Generator
):
    (spec,) = parse_methods(text)
    loaded = load_method(spec, generator, folder)
    assert [pipeline.encoder.method for pipeline in loaded.pipelines] == [system]
    assert steps_of(loaded.pipelines[0], 3) == steps and not loaded.refine


def test_refine_stands_for_the_default_encoder(folder: Path, generator: Generator):
    loaded = load_method(MethodSpec("refine"), generator, folder)
    assert loaded.refine and loaded.pipelines[0].encoder.method == "3dpsp"


def test_any_name_can_have_files_one_for_each_seed(folder: Path, generator: Generator):
    files = tuple(str(folder / f"{name}.safetensors") for name in ("psp", "psp-1", "psp-2"))
    loaded = load_method(MethodSpec("mine", files), generator, folder)
    assert [pipeline.encoder.method for pipeline in loaded.pipelines] == ["psp"] * 3
    assert loaded.files == files


def test_a_systems_name_is_not_given_to_another_systems_file(folder: Path, generator: Generator):
    with pytest.raises(WeightsError, match="Method e4e: .*psp"):
        load_method(MethodSpec("e4e", (str(folder / "psp.safetensors"),)), generator, folder)


def test_missing_files_are_named_with_the_method(tmp_path: Path, generator: Generator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(EMBEDDED_ENCODERS, "tiny-psp", tmp_path / "psp.safetensors")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(WeightsError, match="Method mine: There is no file .*absent.pt"):
        load_method(MethodSpec("mine", (str(tmp_path / "absent.pt"),)), generator, empty)
    with pytest.raises(WeightsError, match="Method tiny-psp: .*comes with this package, but its file is missing"):
        load_method(MethodSpec("tiny-psp"), generator, empty)
    with pytest.raises(WeightsError, match="There is no method 'triplanenet'; there are: 3dpsp, .*pti, refine"):
        load_method(MethodSpec("triplanenet"), generator, empty)


def test_embedded_encoders_load_by_name(folder: Path, generator: Generator, monkeypatch: pytest.MonkeyPatch):
    for method in ("psp", "e4e"):
        monkeypatch.setitem(EMBEDDED_ENCODERS, f"tiny-{method}", folder / f"{method}.safetensors")
        assert load_inverter(f"tiny-{method}", generator).method == method
        loaded = load_method(MethodSpec(f"tiny-{method}"), generator, folder)
        assert [pipeline.encoder.method for pipeline in loaded.pipelines] == [method]
