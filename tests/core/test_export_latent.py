"""An Inversion survives its file; damaged files are refused in plain words."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from threedpsp.camera import Camera
from threedpsp.cli import main
from threedpsp.errors import InputError, WeightsError
from threedpsp.export.latent_file import load_inversion, save_inversion
from threedpsp.types import Inversion, Render, WPlus


def inversion() -> Inversion:
    """One of everything, small."""
    render = Render(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 4, 4), torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4))
    return Inversion(
        latent=WPlus(torch.randn(1, 6, 16), "0123456789abcdef"),
        camera=Camera.orbit(12.0, -3.0),
        render=render,
        steps=tuple((torch.randn(1, 6, 16), torch.rand(1, 3, 8, 8)) for _ in range(3)),
        plane_offset=torch.randn(1, 3, 4, 4, 2),
        generator_delta={"decoder.net.0.weight": torch.randn(4, 4) * 1e-3},
        info={"seconds": 1.5, "notes": ["Grüße"]},
    )


def test_everything_comes_back(tmp_path: Path):
    original = inversion()
    save_inversion(tmp_path / "a.safetensors", original)
    loaded = load_inversion(tmp_path / "a.safetensors")
    assert torch.equal(loaded.latent.ws, original.latent.ws)
    assert loaded.latent.generator == original.latent.generator
    assert torch.equal(loaded.camera.label, original.camera.label)
    assert loaded.info == original.info
    assert len(loaded.steps) == 3 and torch.equal(loaded.steps[2][0], original.steps[2][0])
    half = {"rtol": 1e-3, "atol": 1e-6}  # stored as float16
    for name in ("image", "image_raw", "image_depth", "opacity"):
        torch.testing.assert_close(getattr(loaded.render, name), getattr(original.render, name), **half)
    torch.testing.assert_close(loaded.generator_delta, original.generator_delta, **half)
    torch.testing.assert_close(loaded.plane_offset, original.plane_offset, rtol=1e-3, atol=1e-3)


def test_parts_may_share_memory(tmp_path: Path):
    ws = torch.randn(1, 6, 16)
    image = torch.rand(1, 3, 8, 8).expand(2, -1, -1, -1)
    shared = Inversion(WPlus(ws, "f"), Camera.frontal(), steps=((ws, image),))
    save_inversion(tmp_path / "a.safetensors", shared)
    assert torch.equal(load_inversion(tmp_path / "a.safetensors").steps[0][0], ws)


def test_optional_parts_may_be_absent(tmp_path: Path):
    bare = Inversion(WPlus(torch.zeros(1, 6, 16), "f"), Camera.frontal())
    save_inversion(tmp_path / "a.safetensors", bare)
    loaded = load_inversion(tmp_path / "a.safetensors")
    assert (loaded.render, loaded.steps, loaded.plane_offset, loaded.generator_delta) == (None, (), None, None)


def test_steps_can_be_left_out(tmp_path: Path):
    save_inversion(tmp_path / "a.safetensors", inversion(), include_steps=False)
    assert load_inversion(tmp_path / "a.safetensors").steps == ()


def test_file_holds_tensors_and_json_only(tmp_path: Path):
    save_inversion(tmp_path / "a.safetensors", inversion())
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        metadata = file.metadata()
    assert (metadata["format"], metadata["version"]) == ("threedpsp-inversion", "1")
    assert json.loads(metadata["info"])["seconds"] == 1.5


def test_missing_file_is_an_input_error(tmp_path: Path):
    with pytest.raises(InputError, match="There is no latent file"):
        load_inversion(tmp_path / "a.safetensors")


@pytest.mark.parametrize("kept", [0, 4, 100, 2000])
def test_truncated_file_is_refused(tmp_path: Path, kept: int):
    path = tmp_path / "a.safetensors"
    save_inversion(path, inversion())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match="a.safetensors is damaged or not a latent file"):
        load_inversion(path)


GOOD = {
    "ws": torch.zeros(1, 6, 16),
    "camera/cam2world": torch.eye(4)[None],
    "camera/intrinsics": torch.eye(3)[None],
}
HEAD = {"format": "threedpsp-inversion", "version": "1", "generator": "f", "info": "{}"}
BAD_FILES = {
    "another format": (GOOD, {**HEAD, "format": "generator"}, "not a latent file"),
    "no metadata": (GOOD, None, "not a latent file"),
    "newer version": (GOOD, {**HEAD, "version": "2"}, "reads up to 1"),
    "version no number": (GOOD, {**HEAD, "version": "x"}, "damaged"),
    "broken info": (GOOD, {**HEAD, "info": "{"}, "damaged"),
    "no camera": ({"ws": GOOD["ws"]}, HEAD, "damaged"),
    "camera of another shape": ({**GOOD, "camera/cam2world": torch.eye(3)[None]}, HEAD, "cam2world"),
    "not a number": ({**GOOD, "ws": torch.full((1, 6, 16), torch.nan)}, HEAD, "not numbers in ws"),
    "flat ws": ({**GOOD, "ws": torch.zeros(96)}, HEAD, "ws must be"),
    "no head": ({**GOOD, "ws": torch.zeros(0, 6, 16)}, HEAD, "ws must be"),
    "whole numbers": ({**GOOD, "ws": torch.zeros(1, 6, 16, dtype=torch.int64)}, HEAD, "ws must hold fractions"),
    "version of 5000 digits": (GOOD, {**HEAD, "version": "9" * 5000}, "version of its format is no number"),
    "info of 6000 digits": (GOOD, {**HEAD, "info": '{"a":' + "9" * 6000 + "}"}, "info is not JSON"),
    "deep info": (GOOD, {**HEAD, "info": "[" * 200_000}, "info is not JSON"),
    "info is a list": (GOOD, {**HEAD, "info": "[1]"}, "not a set of names"),
    "camera of zeros": ({**GOOD, "camera/cam2world": torch.zeros(1, 4, 4)}, HEAD, "not a rotation"),
    "mirrored camera": (
        {**GOOD, "camera/cam2world": torch.diag(torch.tensor([-1.0, 1, 1, 1]))[None]},
        HEAD,
        "not a rotation",
    ),
    "lens of zeros": ({**GOOD, "camera/intrinsics": torch.zeros(1, 3, 3)}, HEAD, "focal lengths"),
    "three cameras of one head": (
        {**GOOD, "camera/cam2world": torch.eye(4).repeat(3, 1, 1), "camera/intrinsics": torch.eye(3).repeat(3, 1, 1)},
        HEAD,
        "for the 1 heads",
    ),
    "flat planes": ({**GOOD, "plane_offset": torch.zeros(3)}, HEAD, "plane_offset must be"),
    "planes of two heads": ({**GOOD, "plane_offset": torch.zeros(2, 3, 4, 4, 2)}, HEAD, "plane_offset must be"),
    "a part of a render": ({**GOOD, "render/image": torch.zeros(1, 3, 4, 4)}, HEAD, "render/image_raw is missing"),
    "flat render": (
        {**GOOD, **{f"render/{name}": torch.zeros(2) for name in ("image", "image_raw", "image_depth", "opacity")}},
        HEAD,
        "render/image must be a picture",
    ),
    "step 5 alone": ({**GOOD, "steps/5/ws": torch.zeros(1, 6, 16)}, HEAD, "steps/0/ws is missing"),
    "a part that is none": ({**GOOD, "x": torch.zeros(1)}, HEAD, "x is no part"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_is_refused(tmp_path: Path, name: str):
    tensors, metadata, words = BAD_FILES[name]
    save_file(tensors, tmp_path / "a.safetensors", metadata)
    with pytest.raises(WeightsError, match=words) as caught:
        load_inversion(tmp_path / "a.safetensors")
    assert "a.safetensors" in str(caught.value)


def test_a_sparse_file_of_4_gb_is_refused_unread(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    tensors = {"ws": {"dtype": "F16", "shape": [1 << 30, 2, 1], "data_offsets": [0, 4 << 30]}}
    header = json.dumps({"__metadata__": HEAD, **tensors}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    os.truncate(path, 8 + len(header) + (4 << 30))
    with pytest.raises(WeightsError, match="no latent file has more"):
        load_inversion(path)


@pytest.mark.parametrize("name", ["camera of zeros", "deep info", "no head"])
def test_rendering_a_bad_file_ends_in_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str):
    tensors, metadata, words = BAD_FILES[name]
    path = tmp_path / "a.safetensors"
    save_file(tensors, path, metadata)
    assert main(["render", str(path), "-o", str(tmp_path / "out")]) == WeightsError.exit_code
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"error: {path}") and words in said and "\n" not in said
    assert not (tmp_path / "out").exists()
