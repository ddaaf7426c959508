"""Every system by its name: one interface, from files, in the API and the command line; refining after any of them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import threedpsp
import threedpsp.cli
from tests.core.small_networks import ENCODER, GENERATOR, small_generator
from threedpsp.camera import Camera
from threedpsp.cli import parse
from threedpsp.eg3d.generator import Generator
from threedpsp.encoder.encoder import build_encoder
from threedpsp.encoder.inversion import compute_latent_avg, invert, invert_steps, step_count
from threedpsp.encoder.methods import METHODS, build_method, method_from_checkpoint
from threedpsp.encoder.pti import PivotalTuning, PTIConfig, mapped_mean, tune_generator
from threedpsp.encoder.refine import RefineConfig
from threedpsp.encoder.triplane_branch import BranchConfig
from threedpsp.encoder.triplanenet import TriPlaneNet, TriPlaneNetConfig
from threedpsp.errors import InputError, WeightsError
from threedpsp.metrics.arcface import ArcFaceIdentity
from threedpsp.pipeline import Pipeline
from threedpsp.precision import FLOAT32
from threedpsp.preprocessing.confnet import ConfNet
from threedpsp.types import FaceCrop, Inversion
from threedpsp.weights.catalogue import EMBEDDED
from threedpsp.weights.load import save_generator
from threedpsp.weights.systems import check_name, find_system, pose_network

PSP = dataclasses.replace(
    ENCODER, input_channels=3, camera_features=0, se_pool="avg", shared_heads=False, head_pointwise=False
)
BRANCH = BranchConfig(
    resolution=32,
    depths=(1, 1, 1, 2),
    widths=(16, 16, 16, 16),
    up_channels=(16, 16, 16, 16),
    plane_channels=3 * GENERATOR.plane_channels,
)
V2 = dataclasses.replace(BRANCH, input_channels=9, sees_planes=True)
STEPS = {"3dpsp": 5, "psp": 1, "e4e": 1, "triplanenet-v1": 2, "triplanenet-v2": 2, "pti": 16}
PIXELS_ONLY = RefineConfig(steps=8, perceptual_weight=0, identity_weight=0, novel_weight=0, ws_lr=0.1)


def small_system(name: str, generator: Generator) -> torch.nn.Module:
    """With random weights that depend on the name alone."""
    torch.manual_seed(list(METHODS).index(name))
    if name.startswith("triplanenet"):
        network: torch.nn.Module = TriPlaneNet(TriPlaneNetConfig(PSP, V2 if name.endswith("v2") else BRANCH)).eval()
    else:
        config = {"3dpsp": ENCODER, "psp": PSP, "e4e": dataclasses.replace(PSP, row_deltas=True)}[name]
        network = build_encoder(config, seed=3)
    network.latent_avg.copy_(compute_latent_avg(generator, 64))
    network.generator_fingerprint = generator.fingerprint
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return small_generator()


@pytest.fixture(scope="module")
def crop(generator: Generator) -> FaceCrop:
    """The generator's own picture of some ws, from a camera."""
    camera = Camera.orbit(12.0, 3.0)
    with torch.no_grad():
        ws = generator.mapping(torch.randn(1, 16, generator=torch.Generator().manual_seed(3)), Camera.frontal())
        image = F.interpolate(generator.synthesis(ws, camera).image, scale_factor=2, mode="bilinear")
    return FaceCrop(image, camera)


@pytest.fixture(scope="module")
def models(generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator and a file for each system that has one, all in a folder."""
    folder = tmp_path_factory.mktemp("models")
    save_generator(generator, folder / "generator.safetensors")
    for name in METHODS:
        if name != "pti":
            tensors, metadata = small_system(name, generator).checkpoint()
            save_file(tensors, folder / f"{name}.safetensors", metadata)
    return folder


@pytest.fixture(scope="module", params=list(METHODS))
def made(request: pytest.FixtureRequest, models: Path, crop: FaceCrop) -> tuple[Pipeline, Inversion]:
    """A pipeline with a system, and its inversion of the photo."""
    pipeline = threedpsp.load(models, method=request.param, device="cpu")
    steps = 4 if request.param == "pti" else None
    return pipeline, pipeline.invert(crop, method=request.param, steps=steps, likeness="none")


def rendered(pipeline: Pipeline, inversion: Inversion) -> torch.Tensor:
    (view,) = pipeline.render(inversion, inversion.camera)
    return view.image


def test_every_system_is_loaded_by_name_and_inverts(
    made: tuple[Pipeline, Inversion], crop: FaceCrop, generator: Generator
) -> None:
    pipeline, inversion = made
    name = pipeline.encoder.method
    assert inversion.info["method"] == name and step_count(pipeline.encoder, None) == STEPS[name]
    assert len(inversion.steps) == (2 if name == "pti" else STEPS[name])
    assert inversion.latent.ws.shape == (1, GENERATOR.num_ws, 24)
    assert inversion.latent.generator == generator.fingerprint
    assert (inversion.plane_offset is not None) == name.startswith("triplanenet")
    assert (inversion.generator_delta is not None) == (name == "pti")
    assert inversion.render is not None and torch.isfinite(inversion.render.image).all()
    # what is saved and rendered later is what the system showed (sums in another order: seen 1e-6)
    torch.testing.assert_close(rendered(pipeline, inversion), inversion.render.image, rtol=0, atol=1e-5)


def test_invert_is_the_last_of_the_steps(made: tuple[Pipeline, Inversion], crop: FaceCrop) -> None:
    pipeline, inversion = made
    steps = 4 if pipeline.encoder.method == "pti" else None
    *_, last = invert_steps(pipeline.encoder, pipeline.generator, crop.image, crop.camera, steps)
    torch.testing.assert_close(last.ws, inversion.latent.ws)
    torch.testing.assert_close(last.image, inversion.steps[-1][1], rtol=0, atol=1e-5)
    assert not last.ws.requires_grad


def test_saved_inversion_renders_the_same(
    made: tuple[Pipeline, Inversion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32: in bfloat16 the smallest difference may round a value to its neighbour, four digits away."""
    pipeline, inversion = made
    monkeypatch.setattr(pipeline.generator, "precision", FLOAT32)
    threedpsp.save_inversion(tmp_path / "a.safetensors", inversion)
    loaded = threedpsp.load_inversion(tmp_path / "a.safetensors")
    # offsets and weights are saved as float16
    torch.testing.assert_close(rendered(pipeline, loaded), rendered(pipeline, inversion), rtol=0, atol=5e-3)


def test_refining_works_after_any_system(made: tuple[Pipeline, Inversion], crop: FaceCrop) -> None:
    pipeline, inversion = made
    refined = pipeline.refine(inversion, crop, PIXELS_ONLY)
    info = refined.info["refine"]
    assert info["after"]["l2"] < 0.9 * info["before"]["l2"]
    assert refined.info["method"] == inversion.info["method"]
    photo = F.avg_pool2d(crop.image, 2)
    before, after = ((rendered(pipeline, i) - photo).square().mean() for i in (inversion, refined))
    assert after < 0.9 * before
    assert before == pytest.approx(info["before"]["l2"] / 30, rel=1e-3)  # it started from all that the system found


def test_tuning_the_generator_works_after_any_system(made: tuple[Pipeline, Inversion], crop: FaceCrop) -> None:
    pipeline, inversion = made
    weights = {name: value.clone() for name, value in pipeline.generator.state_dict().items()}
    config = PTIConfig(tune_steps=6, shown_every=3, tune_lr=2e-3, perceptual_weight=0)
    seen: list[tuple[int, int]] = []
    tuned = tune_generator(pipeline.generator, inversion, crop.image, config, on_step=lambda *step: seen.append(step))
    assert seen == [(3, 6), (6, 6)]
    assert torch.equal(tuned.latent.ws, inversion.latent.ws) and tuned.generator_delta is not None
    assert tuned.plane_offset is inversion.plane_offset
    photo = F.avg_pool2d(crop.image, 2)
    before, after = ((rendered(pipeline, i) - photo).square().mean() for i in (inversion, tuned))
    assert after < before
    torch.testing.assert_close(rendered(pipeline, tuned), tuned.render.image, rtol=0, atol=1e-5)
    assert all(torch.equal(weights[name], value) for name, value in pipeline.generator.state_dict().items())


def test_pti_finds_one_w_and_then_tunes_the_weights(generator: Generator, crop: FaceCrop) -> None:
    config = PTIConfig(w_steps=20, tune_steps=10, shown_every=10, w_lr=0.05, tune_lr=1e-3, perceptual_weight=0)
    seen: list[tuple[int, int]] = []
    inversion = invert(
        PivotalTuning(generator, config), generator, crop.image, crop.camera, on_step=lambda *step: seen.append(step)
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert torch.equal(inversion.latent.ws, inversion.latent.ws[:, :1].expand_as(inversion.latent.ws))
    photo = F.avg_pool2d(crop.image, 2)
    errors = [(image - photo).square().mean().item() for _, image in inversion.steps]
    with torch.no_grad():
        start = generator.synthesis(mapped_mean(generator)[0], crop.camera).image
    assert (start - photo).square().mean().item() > errors[0] > errors[1] > errors[2]
    assert not any(name.startswith("backbone.mapping") for name in inversion.generator_delta)


def test_pti_stops_when_the_photo_is_close_enough(generator: Generator, crop: FaceCrop) -> None:
    config = PTIConfig(w_steps=1, tune_steps=40, shown_every=10, stop_at=10.0)
    seen: list[tuple[int, int]] = []
    inversion = invert(
        PivotalTuning(generator, config), generator, crop.image, crop.camera, on_step=lambda *step: seen.append(step)
    )
    assert seen == [(1, 5), (2, 5), (5, 5)]
    assert max(value.abs().max() for value in inversion.generator_delta.values()) == 0
    assert inversion.info["pti"]["perceptual"] in ("LPIPS (AlexNet)", "ST-LPIPS (AlexNet)")


def test_pti_divides_its_steps_and_takes_one_photo(generator: Generator, crop: FaceCrop) -> None:
    config = PTIConfig()
    assert (config.w_steps, config.tune_steps, config.shown) == (450, 350, 16)
    assert dataclasses.astuple(config.scaled(80))[0] == 45 and config.scaled(80).tune_steps == 35
    with pytest.raises(InputError, match="at least one step"):
        config.scaled(0)
    with pytest.raises(InputError, match="one photo at a time; got 2"):
        invert(PivotalTuning(generator), generator, crop.image.expand(2, -1, -1, -1), crop.camera)
    with pytest.raises(InputError, match="w_steps >= 1"):
        PTIConfig(w_steps=0)


@pytest.mark.parametrize(
    "name, file",
    [("triplanenet-v1", "triplanenet_final.pth"), ("triplanenet-v2", "triplanenet_v2_final.pth"),
     ("psp", "psp.safetensors or psp.pt"), ("e4e", "e4e.safetensors or e4e.pt")],
)  # fmt: skip
def test_missing_weights_are_named(name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "THREEDPSP_WEIGHTS"):
        monkeypatch.setenv(variable, str(tmp_path))
    # A copy: pSp and e4e lie beside the embedded one.
    alone = shutil.copy(EMBEDDED["tiny"] / "generator.safetensors", tmp_path)
    with pytest.raises(WeightsError, match=file) as caught:
        threedpsp.load(alone, method=name, device="cpu")
    assert METHODS[name].title in str(caught.value) and "--encoder FILE" in str(caught.value)


def test_a_file_of_another_system_is_refused(models: Path) -> None:
    with pytest.raises(WeightsError, match="triplanenet-v1.safetensors holds TriPlaneNet v1, not TriPlaneNet v2"):
        threedpsp.load(models, encoder=models / "triplanenet-v1.safetensors", method="triplanenet-v2", device="cpu")
    with pytest.raises(WeightsError, match="not an encoder that could be psp"):
        threedpsp.load(models, encoder=models / "3dpsp.safetensors", method="psp", device="cpu")


def test_a_pipeline_refuses_another_system_than_its_own_except_pti(models: Path, crop: FaceCrop) -> None:
    pipeline = threedpsp.load(models, encoder=models / "psp.safetensors", device="cpu")
    assert pipeline.encoder.method == "psp"
    with pytest.raises(WeightsError, match="holds pSp, one step, not e4e.*method='e4e'"):
        pipeline.invert(crop, method="e4e")
    with pytest.raises(InputError, match="no method 'pSp'; there are: 3dpsp, psp"):
        check_name("pSp")
    assert pipeline.invert(crop, method="pti", steps=2).info["method"] == "pti"
    assert find_system(models, None, "3dpsp") == models / "3dpsp.safetensors"


def test_a_file_for_another_generator_is_refused(models: Path, tmp_path: Path) -> None:
    torch.manual_seed(9)
    save_generator(Generator(GENERATOR).eval(), tmp_path / "generator.safetensors")
    with pytest.raises(WeightsError, match="trained for generator"):
        threedpsp.load(tmp_path, encoder=models / "triplanenet-v2.safetensors", device="cpu")


@pytest.mark.parametrize("network", [ArcFaceIdentity, ConfNet])
def test_other_networks_are_built_from_their_tensors_too(network: type[torch.nn.Module]) -> None:
    kind = {"ArcFaceIdentity": "arcface", "ConfNet": "confnet"}[network.__name__]
    made = network()
    halved = {name: t.half() if t.is_floating_point() else t for name, t in made.state_dict().items()}
    again = build_method(kind, {}, halved)
    assert type(again) is network and not again.training
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, halved[name].to(tensor.dtype)), name


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(WeightsError, match="no network of the kind 'gan'"):
        build_method("gan", {}, {})
    with pytest.raises(WeightsError, match="kind is 'not given'"):
        method_from_checkpoint({}, {})


def test_pose_backend_is_chosen_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "THREEDPSP_WEIGHTS"):
        monkeypatch.setenv(variable, str(tmp_path))
    assert pose_network("mediapipe") is None
    for missing in (None, tmp_path / "none.pth"):
        with pytest.raises(WeightsError, match="epoch_20.pth.*--deep3d-weights"):
            pose_network("deep3d", missing)
    with pytest.raises(WeightsError, match="epoch_20.pth"):
        threedpsp.prepare("photo.jpg", pose="deep3d")
    from threedpsp.preprocessing.deep3d import Deep3D

    torch.save({"net_recon": Deep3D().state_dict(), "opt_00": {"state": {}}}, tmp_path / "epoch_20.pth")
    found = pose_network("deep3d")  # in the search path
    assert isinstance(found, Deep3D) and pose_network("deep3d", tmp_path / "epoch_20.pth") is found


def test_command_line_knows_the_options() -> None:
    command = parse(["invert", "a.jpg", "--method", "triplanenet-v2", "--pose", "deep3d", "--deep3d-weights", "e.pth"])
    assert (command.method, command.pose, command.deep3d_weights) == ("triplanenet-v2", "deep3d", Path("e.pth"))
    assert parse(["prepare", "a.jpg", "--pose", "deep3d"]).pose == "deep3d"
    from threedpsp import precision
    from threedpsp.cli import command as command_options
    from threedpsp.cli import photo_options
    from threedpsp.encoder import methods
    from threedpsp.weights import systems

    assert photo_options.MethodName == methods.MethodName and photo_options.PoseName == systems.PoseName
    assert command_options.PrecisionName == precision.PrecisionName


def test_command_line_inverts_with_the_system_asked_for(
    models: Path, crop: FaceCrop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("threedpsp.pipeline.prepare_photo", lambda *_, **__: crop)
    (tmp_path / "me.png").write_bytes(b"any")
    options = ["--device", "cpu", "--no-refine", "--frames", "2", "--json", "--quiet"]
    arguments = [str(tmp_path / "me.png"), "--generator", str(models), "-o", str(tmp_path / "out"), *options]
    assert threedpsp.cli.main(["invert", *arguments, "--method", "triplanenet-v2"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["results"]
    assert report["info"]["method"] == "triplanenet-v2" and report["info"]["encoder_steps"] == 2
    latent = threedpsp.load_inversion(tmp_path / "out" / "me" / "latent.safetensors")
    assert latent.plane_offset is not None

    (models / "e4e.safetensors").rename(models / "elsewhere.safetensors")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert threedpsp.cli.main(["invert", *arguments, "--method", "e4e"]) == WeightsError.exit_code
    assert "e4e.safetensors" in json.loads(capsys.readouterr().out)["error"]
    (models / "elsewhere.safetensors").rename(models / "e4e.safetensors")
