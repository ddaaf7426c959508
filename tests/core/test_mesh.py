"""Meshes of heads: a sphere of known size, the embedded model's head, and the files they are written to."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import threedpsp
from tests.core.small_model import save_small_model
from threedpsp.cli import main
from threedpsp.eg3d import mesh as meshes
from threedpsp.errors import InputError, MissingDependencyError, WeightsError
from threedpsp.types import Inversion, Mesh, TriPlanes, WPlus

RADIUS = 0.2


@pytest.fixture(scope="module")
def generator():
    return threedpsp.load_generator("tiny", device="cpu")


@pytest.fixture(scope="module")
def head(generator) -> Inversion:
    return threedpsp.random_head(generator, 8)


@pytest.fixture(scope="module")
def mesh(generator, head: Inversion) -> Mesh:
    return threedpsp.extract_mesh(generator, head, resolution=96)


def as_trimesh(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), process=False)


def sphere_density(grid: torch.Tensor) -> torch.Tensor:
    """20 inside a ball about (.05, -.1, .1), falling through 10 at its radius; a smaller ball stands apart."""
    centre = torch.tensor([0.05, -0.1, 0.1])
    far = torch.tensor([0.35, 0.35, -0.35])
    ball = 10 + 400 * (RADIUS - (grid - centre).norm(dim=-1))
    other = 10 + 400 * (0.05 - (grid - far).norm(dim=-1))
    return torch.maximum(ball, other).clamp(0, 20)


def test_a_ball_has_its_place_its_size_and_its_outside(monkeypatch: pytest.MonkeyPatch, generator, head: Inversion):
    """Within half a grid step (.008) of the true sphere; the smaller ball beside it is left away."""

    def ball(_: object, planes: TriPlanes, resolution: int, __: object) -> torch.Tensor:
        axis = torch.linspace(-planes.box_warp / 2, planes.box_warp / 2, resolution)
        z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
        return sphere_density(torch.stack([x, y, z], -1))

    monkeypatch.setattr(meshes, "densities", ball)
    found = threedpsp.extract_mesh(generator, head, resolution=64)
    distance = (found.vertices - torch.tensor([0.05, -0.1, 0.1])).norm(dim=1)
    assert (distance - RADIUS).abs().max() < 0.008
    shape = as_trimesh(found)
    assert shape.is_watertight
    assert shape.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.03)  # positive: triangles face outwards


def test_the_embedded_models_head_is_closed_and_of_a_heads_size(mesh: Mesh):
    shape = as_trimesh(mesh)
    assert shape.is_watertight and shape.volume > 0.03
    assert shape.body_count == 1
    low, high = mesh.vertices.min(0).values, mesh.vertices.max(0).values
    assert ((high - low) > 0.4).all() and ((high - low) < 1.0).all()
    assert abs((low[0] + high[0]).item()) < 0.1  # the head is in the middle
    assert tuple(mesh.colors.shape) == tuple(mesh.vertices.shape)
    assert mesh.colors.min() >= 0 and mesh.colors.max() <= 1 and mesh.colors.std() > 0.05


def test_the_meshs_face_has_the_colours_of_the_picture(generator, mesh: Mesh, head: Inversion):
    """The vertex that the picture's centre shows has the picture's colour within .1: views are averaged (seen: .03)."""
    (view,) = threedpsp.render(generator, head, head.camera)
    side = view.image.shape[-1]
    shown = (view.image[0, :, side // 2, side // 2] + 1) / 2
    front = mesh.vertices[:, :2].norm(dim=1) < 0.02
    nearest = torch.where(front, mesh.vertices[:, 2], -1).argmax()
    assert (mesh.colors[nearest] - shown).abs().max() < 0.1


def test_a_higher_level_shrinks_the_surface(generator, head: Inversion, mesh: Mesh):
    tighter = threedpsp.extract_mesh(generator, head, resolution=96, level=60.0)
    assert as_trimesh(tighter).volume < as_trimesh(mesh).volume


def test_what_was_tuned_for_the_photo_changes_the_mesh(generator, head: Inversion, mesh: Mesh):
    import dataclasses

    offset = 0.5 * torch.randn(
        generator.planes(head.latent.ws).features.shape, generator=torch.Generator().manual_seed(0)
    )
    tuned = threedpsp.extract_mesh(generator, dataclasses.replace(head, plane_offset=offset), resolution=96)
    assert tuned.vertices.shape != mesh.vertices.shape


def test_levels_resolutions_and_heads_that_cannot_be_are_refused(generator, head: Inversion, tmp_path: Path):
    with pytest.raises(InputError, match="densities reach from 0 to"):
        threedpsp.extract_mesh(generator, head, resolution=32, level=1e6)
    with pytest.raises(InputError, match="between 16 and 1024"):
        threedpsp.extract_mesh(generator, head, resolution=8)
    other = Inversion(WPlus(head.latent.ws, "another"), head.camera)
    with pytest.raises(WeightsError, match="belongs to generator another"):
        threedpsp.extract_mesh(generator, other)
    two = Inversion(WPlus(head.latent.ws.expand(2, -1, -1), head.latent.generator), head.camera)
    with pytest.raises(InputError, match="2 heads"):
        threedpsp.extract_mesh(generator, two)


def test_a_missing_package_is_named_with_its_command(
    generator, head: Inversion, mesh: Mesh, monkeypatch, tmp_path: Path
):
    import sys

    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(MissingDependencyError, match="pip install scikit-image"):
        threedpsp.extract_mesh(generator, head, resolution=32)
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(MissingDependencyError, match="pip install trimesh"):
        threedpsp.write_mesh(mesh, tmp_path / "head.glb")


@pytest.mark.parametrize("suffix", [".glb", ".ply", ".obj"])
def test_files_hold_the_mesh_and_its_colours(mesh: Mesh, tmp_path: Path, suffix: str):
    path = tmp_path / f"head{suffix}"
    threedpsp.write_mesh(mesh, path)
    (read,) = trimesh.load_scene(path, process=False).geometry.values()
    assert read.faces.shape == tuple(mesh.faces.shape)
    assert np.abs(read.vertices - mesh.vertices.numpy()).max() < 1e-5
    with_material = suffix == ".glb"  # then trimesh keeps a file's vertex colours as an attribute
    stored = read.visual.vertex_attributes["color"] if with_material else read.visual.vertex_colors
    colors = stored[:, :3] / 255
    shown = mesh.colors.numpy()
    expected = (
        np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4) if suffix == ".glb" else shown
    )
    assert np.abs(colors - expected).max() < 0.6 / 255


def test_glb_files_follow_the_format(mesh: Mesh, tmp_path: Path):
    """Read by hand, not by the library that wrote it: header, aligned chunks, bounds, normals, colours."""
    path = tmp_path / "head.glb"
    threedpsp.write_mesh(mesh, path)
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON" and size % 4 == 0
    tree = json.loads(data[20 : 20 + size])
    (primitive,) = tree["meshes"][0]["primitives"]
    accessors = tree["accessors"]
    assert {"POSITION", "NORMAL", "COLOR_0"} <= set(primitive["attributes"])
    position = accessors[primitive["attributes"]["POSITION"]]
    assert position["count"] == len(mesh.vertices)
    assert position["min"] == pytest.approx(mesh.vertices.min(0).values.tolist(), abs=1e-5)
    assert accessors[primitive["indices"]]["count"] == 3 * len(mesh.faces)
    color = accessors[primitive["attributes"]["COLOR_0"]]
    assert color["componentType"] == 5126 or color.get("normalized") is True
    views = [accessors[i]["bufferView"] for i in (*primitive["attributes"].values(), primitive["indices"])]
    assert [tree["bufferViews"][i]["target"] for i in views] == [34962] * 3 + [34963]


def test_glb_colours_are_shown_as_they_are(mesh: Mesh, tmp_path: Path):
    """The photo's light is in the colours; and what has no material counts as metal, darker than it is."""
    path = tmp_path / "head.glb"
    threedpsp.write_mesh(mesh, path)
    data = path.read_bytes()
    tree = json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])
    material = tree["materials"][tree["meshes"][0]["primitives"][0]["material"]]
    assert material["extensions"] == {"KHR_materials_unlit": {}}
    assert tree["extensionsUsed"] == ["KHR_materials_unlit"]
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0  # for programs that do not know the extension


def test_other_suffixes_and_empty_meshes_are_refused(mesh: Mesh, tmp_path: Path):
    with pytest.raises(InputError, match=r"\.glb, \.ply, \.obj"):
        threedpsp.write_mesh(mesh, tmp_path / "head.stl")
    with pytest.raises(InputError, match="no triangles"):
        threedpsp.write_mesh(Mesh(mesh.vertices, mesh.faces[:0]), tmp_path / "head.glb")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_file(head: Inversion, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    threedpsp.save_inversion(tmp_path / "latent.safetensors", head)
    target = tmp_path / "out" / "me.ply"
    options = ["--resolution", "48", "-o", str(target), "--json", "--quiet", "--device", "cpu"]
    assert main(["mesh", str(tmp_path / "latent.safetensors"), *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["mesh"] == str(target) and report["triangles"] == len(trimesh.load(target).faces)


def test_untrained_planes_still_end_in_a_mesh_or_a_plain_error(tmp_path: Path):
    small = threedpsp.load_generator(save_small_model(tmp_path), device="cpu")
    try:
        found = threedpsp.extract_mesh(small, threedpsp.random_head(small, 0), resolution=32, level=0.5)
    except InputError as error:
        assert "no surface" in str(error)
    else:
        assert len(found.faces)


@pytest.mark.parametrize("command", ["mesh", "render"])
def test_the_commands_name_the_latent_that_does_not_fit(
    command: str, head: Inversion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    latent = tmp_path / "other.safetensors"
    threedpsp.save_inversion(latent, Inversion(WPlus(head.latent.ws, "another"), head.camera))
    suffix = "glb" if command == "mesh" else "mp4"
    assert main([command, str(latent), "-o", str(tmp_path / f"x.{suffix}"), "--quiet", "--device", "cpu"]) == 6
    assert f"error: {latent}: This latent belongs to generator another" in capsys.readouterr().err
    assert not (tmp_path / f"x.{suffix}").exists()
