"""Which file a name means: the order of the folders, and names that must not lead out of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from threedpsp.errors import WeightsError
from threedpsp.weights.catalogue import EMBEDDED, EMBEDDED_ENCODERS, entry_named
from threedpsp.weights.load import load_generator, load_inverter, weights_path
from threedpsp.weights.search import (
    cache_folder,
    download_folder,
    find_encoder,
    find_weights,
    locate,
    search_folders,
    torch_hub_folder,
)

PKL = "ffhqrebalanced512-128.pkl"


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty home and current folder."""
    for name in ("THREEDPSP_WEIGHTS", "COMFYUI_PATH", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "folder_paths", raising=False)
    for name in ("home", "current"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "current")


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def test_folders_are_searched_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THREEDPSP_WEIGHTS", os.pathsep.join(["/one", "", "/two"]))
    monkeypatch.setenv("COMFYUI_PATH", "/comfy")
    folders = search_folders(["/mine"])
    assert folders[:6] == [
        Path(p) for p in ("/mine", "/one", "/two", "/comfy/models/threedpsp", "/comfy/models/eg3d")
    ] + [tmp_path / "home" / ".cache" / "threedpsp"]
    assert folders[6] == Path("pretrained_models")
    assert Path("dataset_preprocessing/ffhq/unsup3d/pretrained/pretrained_celeba") in folders


def test_first_folder_that_has_the_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    places = [tmp_path / "mine" / PKL, tmp_path / "env" / PKL, tmp_path / "home/.cache/threedpsp" / PKL]
    places += [tmp_path / "current" / "pretrained_models" / PKL]
    monkeypatch.setenv("THREEDPSP_WEIGHTS", str(tmp_path / "env"))
    for path in places:
        put(path)
    for expected in places:
        assert find_weights("ffhqrebalanced512-128", [tmp_path / "mine"]).resolve() == expected
        assert find_weights(PKL, [tmp_path / "mine"]).resolve() == expected
        expected.unlink()
    with pytest.raises(WeightsError):
        find_weights(PKL, [tmp_path / "mine"])


def test_comfyui_is_asked_only_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def get_folder_paths(name: str) -> list[str]:
        return {"threedpsp": [str(tmp_path / "extra")]}[name]

    assert not any("models" in folder.parts for folder in search_folders())
    stand_in = SimpleNamespace(get_folder_paths=get_folder_paths, models_dir=str(tmp_path / "models"))
    monkeypatch.setitem(sys.modules, "folder_paths", stand_in)
    found = put(tmp_path / "models" / "eg3d" / PKL)
    assert find_weights("ffhqrebalanced512-128") == found
    assert search_folders()[0] == tmp_path / "extra"
    assert download_folder(entry_named("3dpsp")) == tmp_path / "extra"


def test_files_of_a_published_checkout_are_found(tmp_path: Path):
    checkout = tmp_path / "3DpSp"
    deep3d = put(checkout / "dataset_preprocessing/ffhq/Deep3DFaceRecon_pytorch/checkpoints/pretrained/epoch_20.pth")
    put(checkout / "pretrained_models" / "3DpSp.pt")
    assert find_weights("deep3d", [checkout]) == deep3d
    assert find_weights("3dpsp", [checkout]) == checkout / "pretrained_models" / "3DpSp.pt"


def test_published_places_count_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(tmp_path / "3DpSp" / "pretrained_models" / "model_ir_se50.pth")
    assert locate(entry_named("arcface")) is None
    monkeypatch.chdir(tmp_path / "3DpSp")
    assert find_weights("arcface") == Path("pretrained_models/model_ir_se50.pth")


def test_converted_file_is_preferred_to_its_original(tmp_path: Path):
    original, converted = put(tmp_path / "w" / PKL), put(tmp_path / "w" / "ffhqrebalanced512-128.safetensors")
    assert find_weights("ffhqrebalanced512-128", [tmp_path / "w"]) == converted
    assert find_weights(original) == original


def test_names_outside_the_catalogue_are_searched_too(tmp_path: Path):
    file, folder = put(tmp_path / "w" / "mine.safetensors"), tmp_path / "w" / "model"
    folder.mkdir()
    assert find_weights("mine", [tmp_path / "w"]) == find_weights("mine.safetensors", [tmp_path / "w"]) == file
    assert find_weights("model", [tmp_path / "w"]) == folder


def test_embedded_model_needs_no_file(tmp_path: Path):
    (tmp_path / "current" / "tiny").mkdir()
    assert find_weights("tiny") == EMBEDDED["tiny"]
    assert find_encoder("tiny") == EMBEDDED["tiny"]


def test_names_of_the_list_are_not_hidden_by_the_current_folder(tmp_path: Path):
    """What is called like a name of the list is meant only where it is written as a path."""
    (tmp_path / "current" / "3dpsp").mkdir()
    put(tmp_path / "current" / "tiny")
    encoder = put(tmp_path / "w" / "3DpSp.pt")
    assert find_weights("3dpsp", [tmp_path / "w"]) == encoder
    assert find_weights("./3dpsp", [tmp_path / "w"]) == Path("3dpsp")
    assert find_weights("tiny") == EMBEDDED["tiny"]
    explicit = find_weights("./tiny")
    assert explicit.samefile(tmp_path / "current" / "tiny")
    assert str(explicit) != "tiny"  # what is given this path later must not take it for the name
    encoder.unlink()
    with pytest.raises(WeightsError, match="threedpsp weights download 3dpsp"):
        find_weights("3dpsp", [tmp_path / "w"])


def test_other_names_are_looked_for_in_the_current_folder_first(tmp_path: Path):
    (tmp_path / "current" / "mine").mkdir()
    put(tmp_path / "w" / "mine.safetensors")
    assert find_weights("mine", [tmp_path / "w"]) == Path("mine")


def test_file_of_the_current_folder_is_found_by_name(tmp_path: Path):
    put(tmp_path / "current" / PKL)
    put(tmp_path / "w" / PKL)
    assert find_weights(PKL, [tmp_path / "w"]) == Path(PKL)


@pytest.mark.parametrize(
    "name", ["../secret.pkl", "..", "sub/secret.pkl", "w/../../secret.pkl", "..\\secret.pkl", "~nobody-here/x.pkl"]
)
def test_names_with_folders_are_never_joined_to_the_search_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    put(tmp_path / "secret.pkl")
    put(tmp_path / "w" / "sub" / "secret.pkl")
    put(tmp_path / "w" / "..\\secret.pkl")
    monkeypatch.chdir("/")
    if name == "..":
        monkeypatch.chdir(tmp_path / "w")  # a folder that exists: as a path, it is what it is
        assert find_weights(name) == Path("..")
        return
    with pytest.raises(WeightsError):
        find_weights(name, [tmp_path / "w"])


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5000, "tiny\0", "."])
def test_names_that_cannot_be_files_are_explained(name: str):
    with pytest.raises(WeightsError):
        find_weights(name)


def test_missing_file_says_where_it_was_looked_for_and_how_to_get_it(tmp_path: Path):
    with pytest.raises(WeightsError, match=rf"{tmp_path}/w.*threedpsp weights download ffhqrebalanced512-128"):
        find_weights(PKL, [tmp_path / "w"])
    with pytest.raises(WeightsError, match="Get triplanenet_final.pth from https://drive.google.com"):
        find_weights("triplanenet-v1")
    with pytest.raises(WeightsError, match="one of: tiny, ffhqrebalanced512-128"):
        find_weights("something-else")


def test_encoder_that_goes_with_a_generator_is_found(tmp_path: Path):
    generator, encoder = put(tmp_path / "w" / PKL), put(tmp_path / "w" / "3DpSp.pt")
    assert find_encoder("ffhqrebalanced512-128", None, [tmp_path / "w"]) == encoder
    assert find_encoder(generator, None, [tmp_path / "w"]) == encoder
    assert find_encoder(generator, generator) == generator
    ours = put(tmp_path / "own" / "generator.safetensors")
    assert find_encoder(tmp_path / "own") == tmp_path / "own"
    with pytest.raises(WeightsError, match="--encoder"):
        find_encoder(ours)
    assert find_encoder(ours.with_name("generator.safetensors"), put(tmp_path / "own" / "encoder.safetensors"))
    assert find_encoder(ours) == tmp_path / "own" / "encoder.safetensors"


def test_downloads_go_where_the_user_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    entry = entry_named("3dpsp")
    assert download_folder(entry) == cache_folder() == tmp_path / "home" / ".cache" / "threedpsp"
    monkeypatch.setenv("THREEDPSP_WEIGHTS", str(tmp_path / "env"))
    assert download_folder(entry) == tmp_path / "env"
    assert download_folder(entry, [tmp_path / "mine"]) == tmp_path / "mine"
    assert download_folder(entry_named("alexnet"), [tmp_path / "mine"]) == torch_hub_folder()


def test_torch_keeps_its_weights_where_we_look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import torch

    for name, value in ((None, None), ("XDG_CACHE_HOME", "/x"), ("TORCH_HOME", "/y")):
        if name is not None:
            monkeypatch.setenv(name, str(value))
        assert torch_hub_folder() == Path(torch.hub.get_dir()) / "checkpoints"


def test_embedded_encoders_are_known_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever the current folder holds; a copy of the package that lacks the file says so."""
    put(tmp_path / "current" / "tiny-psp")
    there = put(tmp_path / "package" / "psp.safetensors")
    monkeypatch.setitem(EMBEDDED_ENCODERS, "tiny-psp", there)
    monkeypatch.setitem(EMBEDDED_ENCODERS, "tiny-e4e", tmp_path / "package" / "e4e.safetensors")
    assert find_weights("tiny-psp") == find_encoder("tiny", "tiny-psp") == weights_path("tiny-psp", "encoder") == there
    explicit = find_weights("./tiny-psp")
    assert explicit.is_absolute() and explicit.samefile(tmp_path / "current" / "tiny-psp")
    with pytest.raises(WeightsError, match="tiny-e4e comes with this package, but its file is missing"):
        find_weights("tiny-e4e")


def test_embedded_encoders_lie_beside_the_embedded_model():
    """There, `load("tiny", method="psp")` finds them too."""
    assert set(EMBEDDED_ENCODERS) == {"tiny-3dpsp", "tiny-psp", "tiny-e4e"}
    assert {path.parent for path in EMBEDDED_ENCODERS.values()} == {EMBEDDED["tiny"]}


@pytest.mark.parametrize("name", EMBEDDED_ENCODERS)
def test_embedded_encoders_are_small_and_are_what_their_names_say(name: str):
    assert EMBEDDED_ENCODERS[name].stat().st_size <= 8e6
    assert load_inverter(name, load_generator("tiny")).method == name.removeprefix("tiny-")
