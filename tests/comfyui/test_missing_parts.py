"""ComfyUI without some optional parts: every node is listed, the others work, and the one concerned says what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.comfyui.client import Client, Workflow
from tests.comfyui.environment import Environment
from tests.comfyui.pack import PACK
from tests.comfyui.server import Server
from tests.comfyui.workflows import changed, number, numbers, only_for, quick_turntable, random_head, shipped

pytestmark = pytest.mark.comfyui

NODES = 15


@pytest.fixture(scope="module")
def bare(comfyui_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Without what finds faces, makes surfaces and compiles, and with nothing compiled earlier."""
    folder = tmp_path_factory.mktemp("bare")
    with Server(
        comfyui_environment,
        folder / "base",
        without=("mediapipe", "skimage", "scikit_image", "trimesh", "lpips", "ninja", "g++", "c++", "clang++"),
        variables={"XDG_CACHE_HOME": str(folder / "cache")},
    ) as server:
        yield from _connected(server)


@pytest.fixture(scope="module")
def without_measures(comfyui_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Without the packages whose networks Refine and Evaluate measure with."""
    folder = tmp_path_factory.mktemp("without-measures")
    without = ("stlpips_pytorch", "face_recognition_models")
    with Server(comfyui_environment, folder / "base", without=without) as server:
        yield from _connected(server)


def _connected(server: Server) -> Iterator[Client]:
    client = server.client()
    yield client
    client.close()


def test_every_node_is_listed(bare: Client, without_measures: Client) -> None:
    for client in (bare, without_measures):
        infos = client.object_info().values()
        assert sum(info["python_module"] == f"custom_nodes.{PACK}" for info in infos) == NODES


def test_heads_are_drawn_without_compiler(bare: Client) -> None:
    assert len(bare.succeed(random_head()).files("show")) == 1


def test_check_setup_lists_what_is_missing_and_its_commands(bare: Client) -> None:
    workflow: Workflow = {"check": {"class_type": "ThreeDpSpCheckSetup", "inputs": {}}}
    (text,) = bare.succeed(workflow).outputs["check"]["text"]
    lines = text.splitlines()
    cures = {line.split(":")[0][2:]: cure for line, cure in zip(lines, lines[1:], strict=False) if "->" in cure}
    for part in ("mediapipe", "scikit-image", "trimesh", "ninja"):
        assert "pip install" in cures[part] and part in cures[part], text
    assert "C++ compiler" in cures["Compiled kernels"], text


def test_align_names_the_command_that_installs_mediapipe(bare: Client) -> None:
    run = bare.run(quick_turntable())
    assert run.status == "error" and run.error
    assert run.error["node_type"] == "ThreeDpSpAlign"
    assert "pip install" in run.error["exception_message"] and "mediapipe" in run.error["exception_message"]


def test_extract_mesh_names_the_command_that_installs_its_packages(bare: Client) -> None:
    mesh = shipped("photo_to_mesh")
    extract = mesh[number(mesh, "ThreeDpSpExtractMesh")]
    workflow = random_head() | {"mesh": extract}
    workflow["mesh"]["inputs"] |= {"model": ["model", 0], "latent": ["head", 0], "resolution": 32}
    run = bare.run(only_for(workflow, "mesh"))
    assert run.status == "error" and run.error
    assert run.error["node_type"] == "ThreeDpSpExtractMesh"
    assert "pip install" in run.error["exception_message"]


def test_evaluate_names_the_command_that_installs_its_package(without_measures: Client) -> None:
    workflow = shipped("evaluation")
    run = without_measures.run(only_for(workflow, numbers(workflow, "ThreeDpSpEvaluate")[0]))
    assert run.status == "error" and run.error
    assert run.error["node_type"] == "ThreeDpSpEvaluate"
    assert "pip install" in run.error["exception_message"]


def test_refine_does_with_pixels_what_the_measures_would_have_helped_with(without_measures: Client) -> None:
    workflow = shipped("photo_to_turntable_refined")
    refine = number(workflow, "ThreeDpSpRefine")
    workflow = changed(only_for(workflow, refine), "ThreeDpSpRefine", steps=2)
    workflow["show"] = {"class_type": "PreviewImage", "inputs": {"images": [refine, 1]}}
    assert len(without_measures.succeed(workflow).files("show")) == 1


def test_photos_still_become_heads_without_the_measures(without_measures: Client) -> None:
    assert len(without_measures.succeed(quick_turntable()).files("show")) == 3
