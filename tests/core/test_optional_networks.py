"""Networks that users place themselves, reached from the command line: ConfNet, ArcFace, Deep3D; and pivotal tuning."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import threedpsp
from tests.core.small_model import save_small_model
from tests.core.test_prepared_folder import published
from tests.core.training_runs import one_thread
from tests.official_files import write_unsup3d
from threedpsp.cli import main, parse
from threedpsp.encoder.pti import PTIConfig
from threedpsp.errors import WeightsError
from threedpsp.metrics.arcface import ArcFaceIdentity
from threedpsp.preprocessing import prepared_folder
from threedpsp.preprocessing.confnet import ConfNet
from threedpsp.preprocessing.folder import PHOTO_SUFFIXES
from threedpsp.preprocessing.prepared_folder import read_prepared
from threedpsp.types import FaceCrop

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights but those of a test; the crops here show nobody."""
    for name in ("THREEDPSP_WEIGHTS", "COMFYUI_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(prepared_folder, "detect_faces", lambda image: [])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_small_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def confnet() -> ConfNet:
    torch.manual_seed(0)
    return ConfNet().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def confnet_folder(confnet: ConfNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unsup3d")
    write_unsup3d(folder / "checkpoint030.pth", confnet.state_dict())
    return folder


def test_prepare_writes_the_published_uncertainty(tmp_path: Path, confnet: ConfNet, confnet_folder: Path):
    source = published(tmp_path / "in")
    options = ["--conf-map", "unsup3d", "--weights-dir", str(confnet_folder), "-o", str(tmp_path / "out")]
    assert main(["prepare", str(source), "--size", "64", *options]) == 0
    stored = np.load(tmp_path / "out" / "conf_map" / "bert.npy")
    bert = read_prepared(source, PHOTO_SUFFIXES).photos[1]
    image = threedpsp.prepare(bert).image
    with one_thread():  # as where it was stored: sums of convolutions differ in their last digits with the threads
        expected = confnet.stored_map(image)[0].numpy()
    np.testing.assert_allclose(stored, expected, rtol=0, atol=1e-6)
    kept = np.load(tmp_path / "out" / "conf_map" / "anna.npy")
    assert np.array_equal(kept, np.load(source / "conf_map" / "anna.npy"))  # a stored one is taken as it is


def test_changing_the_source_prepares_anew(tmp_path: Path, confnet_folder: Path):
    source, out = published(tmp_path / "in"), str(tmp_path / "out")
    assert main(["prepare", str(source), "--size", "64", "-o", out]) == 0
    assert not (tmp_path / "out" / "conf_map" / "bert.npy").exists()  # no landmarks: our own estimate needs them
    options = ["--conf-map", "unsup3d", "--weights-dir", str(confnet_folder)]
    assert main(["prepare", str(source), "--size", "64", "-o", out, *options]) == 0
    assert (tmp_path / "out" / "conf_map" / "bert.npy").exists()


def test_python_takes_the_same_choice(tmp_path: Path, confnet: ConfNet, confnet_folder: Path):
    (_, bert) = read_prepared(published(tmp_path), PHOTO_SUFFIXES).photos
    crop = threedpsp.prepare(bert, conf_map="unsup3d", weights_dirs=[confnet_folder])
    from threedpsp.preprocessing.mirror_sigma import estimate_mirror_sigma

    expected = estimate_mirror_sigma(crop.image, torch.zeros(1, 478, 2), crop.camera, confnet)
    torch.testing.assert_close(crop.mirror_sigma, expected)


def test_a_photos_uncertainty_comes_from_the_network_too(confnet: ConfNet, confnet_folder: Path):
    from threedpsp.cli.demo import astronaut
    from threedpsp.preprocessing.mirror_sigma import estimate_mirror_sigma

    crop = threedpsp.prepare(astronaut(), conf_map="unsup3d", weights_dirs=[confnet_folder])
    torch.testing.assert_close(
        crop.mirror_sigma, estimate_mirror_sigma(crop.image, crop.landmarks, crop.camera, confnet)
    )


@pytest.mark.parametrize(
    ("command", "options", "file"),
    [
        ("prepare", ["--conf-map", "unsup3d"], "checkpoint030.pth"),
        ("prepare", ["--pose", "deep3d"], "epoch_20.pth"),
        ("invert", ["--conf-map", "unsup3d"], "checkpoint030.pth"),
        ("evaluate", ["--identity", "arcface"], "model_ir_se50.pth"),
    ],
)
def test_a_missing_file_is_named_with_its_place(
    command: str, options: list[str], file: str, tmp_path: Path, model: str, capsys: Capture
):
    source = published(tmp_path / "in")
    if command != "prepare":
        options = [*options, "--generator", model, "--device", "cpu"]
    if command != "evaluate":
        options = [*options, "-o", str(tmp_path / "out")]
    assert main([command, str(source), *options, "--weights-dir", str(tmp_path / "w")]) == WeightsError.exit_code
    said = capsys.readouterr().err
    assert file in said and str(tmp_path / "w") in said


def test_evaluate_takes_a_prepared_folder_as_it_is(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
):
    """Crops, names and cameras are the folder's; with ArcFace, which needs no landmarks, nobody has to be found."""
    torch.manual_seed(0)
    network = ArcFaceIdentity()
    asked: list[Path] = []
    monkeypatch.setattr("threedpsp.weights.systems.load_arcface", lambda path: (asked.append(path), network)[1])
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "model_ir_se50.pth").write_bytes(b"stands in")
    source = published(tmp_path / "in")
    options = ["--identity", "arcface", "--weights-dir", str(tmp_path / "w"), "--generator", model, "--json"]
    assert main(["evaluate", str(source), *options, "--device", "cpu", "--no-refine", "--steps", "1", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert asked == [tmp_path / "w" / "model_ir_se50.pth"]
    assert [photo["photo"] for photo in report["photos"]] == ["anna.png", "bert.png"]  # without the mirrored copy
    assert {"encoder/identity_arcface", "encoder/novel_identity_arcface", "encoder/psnr"} <= set(report["means"])
    assert report["protocol"]["precision"].endswith("measures: float32")
    assert "as they are" in report["protocol"]["crop"] and "ArcFace" in report["protocol"]["metrics"]


def test_evaluate_uses_the_folders_cameras(tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch):
    from threedpsp.evaluation.methods import LoadedMethod
    from threedpsp.evaluation.protocol import EvaluationConfig, Evaluator, photos_of

    pipeline = threedpsp.load(model, device="cpu")
    seen: list[FaceCrop] = []

    def stop(crop: FaceCrop, **_: object) -> None:
        seen.append(crop)
        raise threedpsp.InputError("enough")

    evaluator = Evaluator([LoadedMethod("3dpsp", (pipeline,), ("file",))], EvaluationConfig())
    monkeypatch.setattr(threedpsp.Pipeline, "invert", lambda self, crop, **options: stop(crop, **options))
    (anna, bert) = photos_of(published(tmp_path))
    assert [row.error for row in evaluator.photo(anna)] == ["enough"]
    torch.testing.assert_close(seen[0].camera.label, torch.tensor([anna.label]))
    assert seen[0].image.shape == (1, 3, 64, 64)


def test_pipeline_tunes_after_any_system(model: str, tmp_path: Path):
    pipeline = threedpsp.load(model, device="cpu")
    crop = FaceCrop(torch.rand(1, 3, 64, 64) * 2 - 1, threedpsp.Camera.orbit(5.0))
    inversion = pipeline.invert(crop, steps=1)
    config = PTIConfig(perceptual_weight=0, shown_every=2, tune_lr=2e-3)
    seen: list[tuple[str, int, int]] = []
    tuned = pipeline.tune(inversion, crop, steps=4, config=config, on_progress=lambda *step: seen.append(step))
    assert seen == [("tune", 2, 4), ("tune", 4, 4)]
    assert tuned.info["tune"]["steps"] == 4 and "pti" not in tuned.info
    threedpsp.save_inversion(tmp_path / "a.safetensors", tuned)
    loaded = threedpsp.load_inversion(tmp_path / "a.safetensors")
    (before,), (after,), (later,) = (pipeline.render(i, inversion.camera) for i in (inversion, tuned, loaded))
    torch.testing.assert_close(later.image, after.image, rtol=0, atol=5e-3)  # weights are saved as float16
    assert (after.image - before.image).abs().max() > 0.05


def test_invert_tunes_when_asked(tmp_path: Path, model: str, capsys: Capture):
    source = published(tmp_path / "in", [["anna.png", [*threedpsp.Camera.orbit(12.0).label[0].tolist()]]])
    for extra in ("anna_mirror.png", "bert.png"):
        (source / extra).unlink()
    options = ["--generator", model, "--device", "cpu", "--no-refine", "--steps", "1", "--frames", "2", "--size", "64"]
    options += ["--tune", "pti", "--tune-steps", "3", "-o", str(tmp_path / "out"), "--json"]
    assert main(["invert", str(source), *options]) == 0
    (report,) = json.loads(capsys.readouterr().out)["results"]
    assert report["info"]["tune"]["steps"] == 3 and "tune" in report["seconds"]
    saved = threedpsp.load_inversion(tmp_path / "out" / "anna" / "latent.safetensors")
    assert saved.generator_delta is not None


def test_impossible_tuning_is_explained_before_any_work(tmp_path: Path, capsys: Capture):
    options = ["--tune", "pti", "--tune-steps", "0", "-o", str(tmp_path / "out")]
    for command in (["demo"], ["invert", str(published(tmp_path))]):
        assert main([*command, *options]) == 2
        assert "--tune-steps must be at least 1; got 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_options_are_there_with_their_defaults():
    assert parse(["invert", "a.jpg"]).tune is None and parse(["invert", "a.jpg"]).conf_map == "builtin"
    assert parse(["evaluate", "photos"]).identity == "dlib"
    assert parse(["prepare", "a.jpg", "--weights-dir", "w"]).weights_dirs == (Path("w"),)
    from threedpsp.cli import evaluate, photo_options
    from threedpsp.weights import systems

    assert photo_options.ConfidenceSource == systems.ConfidenceSource
    assert evaluate.IdentityName == systems.IdentityName
