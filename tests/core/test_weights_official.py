"""Official files -> generators, encoders and the other networks; converted files hold the same numbers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from tests.golden import golden_path, load_golden, relative_error, seeded_weights
from tests.hostile_files import CONFIG, good_pickle
from tests.official_files import write_eg3d_pickle, write_encoder, write_unsup3d
from threedpsp.camera import Camera
from threedpsp.eg3d.generator import Generator
from threedpsp.encoder.config import EncoderConfig
from threedpsp.encoder.encoder import Encoder, build_encoder
from threedpsp.errors import InputError, WeightsError
from threedpsp.preprocessing.confnet import ConfNet
from threedpsp.weights.convert import convert
from threedpsp.weights.load import load_arcface, load_confnet, load_encoder, load_generator, load_inverter
from threedpsp.weights.recognise import recognise

# float32 sums in another order; an independent implementation reached 1e-6, and small mistakes cost 5e-5 and more.
TOLERANCE = 1e-5
W_DIM = 8


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small .pkl of EG3D's structure."""
    return good_pickle(tmp_path_factory.mktemp("small") / "small.pkl")


@pytest.fixture(scope="module")
def generator(small: Path) -> Generator:
    return load_generator(small, "cpu")


def small_encoder(**changed: object) -> Encoder:
    """What official encoders have, but narrower and less deep."""
    narrow = {"depths": (1, 2, 2, 1), "widths": (16, 24, 32, 48), "fpn_width": 48, "head_width": W_DIM, "w_dim": W_DIM}
    return build_encoder(dataclasses.replace(EncoderConfig.psp(), **{**narrow, **changed}))


@pytest.fixture(scope="module")
def psp_state() -> dict[str, torch.Tensor]:
    return {n: t for n, t in small_encoder().state_dict().items() if not n.endswith("num_batches_tracked")}


def test_the_recorded_pickle_renders_its_recorded_values() -> None:
    tensors, metadata = load_golden("eg3d_official_format")
    generator = load_generator(golden_path(metadata["pickle"]), "cpu")
    conditioning = Camera.from_label(tensors["conditioning_camera"])
    with torch.no_grad():
        ws = generator.mapping(tensors["z"], conditioning)
        render = generator.synthesis(tensors["ws"], Camera.from_label(tensors["camera"]))
    assert relative_error(ws, tensors["ws"]) < TOLERANCE
    assert relative_error(render.image_raw, tensors["image_raw"]) < TOLERANCE
    assert relative_error(render.image_depth, tensors["image_depth"]) < TOLERANCE
    assert relative_error(render.image[:, :, ::4, ::4], tensors["image_stride4"]) < TOLERANCE


def test_the_recorded_pickle_has_the_recorded_weights() -> None:
    expected = seeded_weights("eg3d_official_format.weights.json")
    found = recognise(golden_path("eg3d_official_format.pkl"))
    assert set(found.tensors) == set(expected)
    assert all(torch.equal(found.tensors[name], value) for name, value in expected.items())


def test_settings_of_the_pickle_become_the_configuration(small: Path) -> None:
    found = recognise(small)
    assert found.kind == "eg3d-generator" and not found.problems
    assert found.config == CONFIG.to_dict()
    assert found.facts["file"] == "small.pkl" and len(found.facts["sha256"]) == 64


def test_only_the_averaged_network_is_used(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = Generator(CONFIG)
    path = write_eg3d_pickle(tmp_path / "all.pkl", CONFIG, network.state_dict(), also=("G", "D"))
    assert load_generator(path, "cpu").fingerprint == network.fingerprint


def test_a_converted_generator_is_the_same(small: Path, tmp_path: Path, generator: Generator) -> None:
    path = convert(small, tmp_path / "generator.safetensors")
    again = load_generator(path, "cpu")
    assert again.config == generator.config
    for name, value in generator.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["kind"] == "generator"
    assert json.loads(metadata["source"])["file"] == "small.pkl"


def test_a_file_is_not_converted_onto_itself_or_a_folder(small: Path, tmp_path: Path) -> None:
    path = convert(small, tmp_path / "generator.safetensors")
    with pytest.raises(InputError, match="replaced by itself"):
        convert(path)
    with pytest.raises(InputError, match="folder"):
        convert(small, tmp_path)


def test_nothing_is_written_for_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "bad.pkl").write_bytes(b"\x80\x04N." + b" " * 20)
    with pytest.raises(WeightsError, match="bad.pkl"):
        convert(tmp_path / "bad.pkl")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.pkl"]


@pytest.mark.parametrize("prefix", ["", "encoder."])
@pytest.mark.parametrize("legacy", [False, True])
def test_psp_encoder_is_recognised(
    tmp_path: Path, generator: Generator, psp_state: dict[str, torch.Tensor], prefix: str, legacy: bool
) -> None:
    latent_avg = torch.randn(14, W_DIM)
    path = write_encoder(tmp_path / "psp.pt", psp_state, latent_avg, prefix=prefix, legacy=legacy)
    encoder = load_encoder(path, generator)
    assert encoder.method == "psp" and encoder.config.se_pool == "avg"
    assert torch.equal(encoder.latent_avg[0], latent_avg)
    assert torch.equal(encoder.state_dict()["styles.13.linear.weight"], psp_state["styles.13.linear.weight"])
    assert encoder.generator_fingerprint == generator.fingerprint


def test_threedpsp_encoder_is_told_by_its_shapes(tmp_path: Path, generator: Generator) -> None:
    network = small_encoder(
        input_channels=6, se_pool="max", camera_features=16, head_pointwise=True, input_resolution=32
    )
    path = write_encoder(tmp_path / "3dpsp.pt", network.state_dict(), torch.zeros(1, 14, W_DIM))
    found = recognise(path)
    assert found.config == network.config.to_dict()
    assert found.facts["opts.n_iters_per_batch"] == "5"
    assert load_encoder(path, generator).method == "3dpsp"


def test_e4e_is_told_by_its_options_or_by_the_caller(
    tmp_path: Path, generator: Generator, psp_state: dict[str, torch.Tensor]
) -> None:
    latent_avg = torch.zeros(1, 14, W_DIM)
    options = {"encoder_type": "Encoder4Editing"}
    told = write_encoder(tmp_path / "told.pt", psp_state, latent_avg, prefix="encoder.", options=options)
    assert load_encoder(told, generator).method == "e4e"
    untold = write_encoder(tmp_path / "untold.pt", psp_state, latent_avg)
    assert load_encoder(untold, generator).method == "psp"
    assert load_encoder(untold, generator, method="e4e").method == "e4e"
    assert load_encoder(convert(untold, method="e4e"), generator).method == "e4e"


@pytest.mark.parametrize(("recorded", "other"), [("psp", "e4e"), ("e4e", "psp")])
def test_a_file_of_ours_keeps_its_recorded_method(
    tmp_path: Path, generator: Generator, psp_state: dict[str, torch.Tensor], recorded: Any, other: Any
) -> None:
    official = write_encoder(tmp_path / "official.pt", psp_state, torch.zeros(1, 14, W_DIM))
    ours = convert(official, tmp_path / "ours.safetensors", method=recorded)
    assert load_encoder(ours, generator).method == recorded
    assert load_encoder(ours, generator, method=recorded).method == recorded
    with pytest.raises(WeightsError, match=f"ours.safetensors.*recorded as {recorded}, not {other}"):
        load_encoder(ours, generator, method=other)
    with pytest.raises(WeightsError, match=f"recorded as {recorded}"):
        convert(ours, tmp_path / "again.safetensors", method=other)


def test_a_missing_mean_latent_is_made_from_the_generator(
    tmp_path: Path, generator: Generator, psp_state: dict[str, torch.Tensor]
) -> None:
    path = write_encoder(tmp_path / "psp.pt", psp_state, None)
    assert load_encoder(path, generator).latent_avg.abs().sum() > 0
    with pytest.raises(WeightsError, match="latent_avg"):
        convert(path)


def test_a_bound_encoder_refuses_another_generator(
    tmp_path: Path, small: Path, generator: Generator, psp_state: dict[str, torch.Tensor]
) -> None:
    path = write_encoder(tmp_path / "psp.pt", psp_state, torch.zeros(1, 14, W_DIM))
    bound = convert(path, generator=small)
    assert load_inverter(bound, generator).generator_fingerprint == generator.fingerprint
    torch.manual_seed(5)
    other = Generator(CONFIG).eval()
    with pytest.raises(WeightsError, match=f"{bound.name}.*trained for generator {generator.fingerprint}"):
        load_encoder(bound, other)
    with pytest.raises(WeightsError, match="trained for generator"):
        convert(bound, tmp_path / "again.safetensors", generator=other)


def test_an_encoder_for_other_latents_is_refused(
    tmp_path: Path, psp_state: dict[str, torch.Tensor], generator: Generator
) -> None:
    path = write_encoder(tmp_path / "psp.pt", psp_state, torch.zeros(1, 14, W_DIM))
    wide = Generator(dataclasses.replace(CONFIG, w_dim=W_DIM * 2))
    with pytest.raises(WeightsError, match="14 x 8.*14 x 16"):
        load_encoder(path, wide)
    with pytest.raises(WeightsError, match="encoder"):
        load_generator(path, "cpu")


def test_arcface_is_read_from_its_old_format(tmp_path: Path) -> None:
    expected = seeded_weights("arcface_ir_se50.weights.json")
    torch.save(expected, tmp_path / "model_ir_se50.pth", _use_new_zipfile_serialization=False)
    network = load_arcface(tmp_path / "model_ir_se50.pth")
    assert torch.equal(network.state_dict()["output_layer.3.weight"], expected["output_layer.3.weight"])


def test_confnet_is_found_among_the_other_networks(tmp_path: Path) -> None:
    expected = ConfNet().state_dict()
    official = write_unsup3d(tmp_path / "checkpoint030.pth", expected)
    for file in (official, convert(official)):
        network = load_confnet(file)
        assert all(torch.equal(network.state_dict()[n], t) for n, t in expected.items())
