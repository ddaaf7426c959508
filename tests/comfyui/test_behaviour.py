"""How the nodes behave in a real ComfyUI: what is computed again, what stops, what is remembered."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.comfyui.client import Client, Run, Workflow
from tests.comfyui.environment import Environment
from tests.comfyui.expectations import ENCODED, surface_words
from tests.comfyui.pictures import identity, picture_of
from tests.comfyui.server import Server
from tests.comfyui.workflows import (
    changed,
    number,
    of_photos,
    only_for,
    quick_turntable,
    random_head,
    shipped,
    text_of,
)

pytestmark = pytest.mark.comfyui

TURNTABLE_SECONDS = 30
INTERRUPT_SECONDS = 3
MEMORY_GROWTH = 1.05

ALIGN, POSE, ENCODE = "ThreeDpSpAlign", "ThreeDpSpEstimatePose", "ThreeDpSpEncode"
PATH, RENDER, REFINE = "ThreeDpSpCameraPath", "ThreeDpSpRenderViews", "ThreeDpSpRefine"


def computed(run: Run, workflow: Workflow) -> set[str]:
    """The types of the nodes that were not answered for by the cache."""
    return {workflow[one]["class_type"] for one in run.executed}


def shown(client: Client, run: Run, node: str = "show") -> list[np.ndarray]:
    """The pictures that a node shows."""
    return [picture_of(client.fetch(file)) for file in run.files(node)]


def test_photo_to_turntable_takes_less_than_half_a_minute(client: Client, tell: Callable[[str], None]) -> None:
    workflow = shipped("photo_to_turntable")
    tries: list[float] = []
    while not tries or (tries[-1] > TURNTABLE_SECONDS and len(tries) < 3):  # others may be using the machine
        client.free()
        begun = time.monotonic()
        run = client.succeed(workflow)
        tries.append(time.monotonic() - begun)
        assert not run.cached
    words = ", ".join(f"{seconds:.1f}" for seconds in tries)
    tell(f"photo to turntable, 48 frames, nothing cached: {words} s from pressing Run (limit {TURNTABLE_SECONDS})")
    assert tries[-1] < TURNTABLE_SECONDS


def test_changing_only_the_path_renders_and_does_not_encode(client: Client, tell: Callable[[str], None]) -> None:
    workflow = changed(quick_turntable(), ALIGN, border="black")  # which no other test of this server uses
    first = client.succeed(workflow)
    assert {ALIGN, POSE, ENCODE, RENDER} <= computed(first, workflow)
    again = changed(workflow, PATH, path="ellipse", yaw=20.0)
    second = client.succeed(again)
    assert computed(second, again) == {PATH, RENDER, "PreviewImage"}
    assert {number(workflow, one) for one in (ALIGN, POSE, ENCODE)} <= second.cached
    assert not np.array_equal(shown(client, first)[1], shown(client, second)[1])
    log = ", ".join(again[one]["class_type"] for one in second.executed)
    tell(f"after a change of the path alone: executed {log}; {second.seconds:.1f} s for 3 frames")


def test_changing_steps_encodes_and_does_not_align(client: Client) -> None:
    workflow = quick_turntable()
    client.succeed(workflow)
    again = changed(workflow, ENCODE, steps=2)
    second = client.succeed(again)
    assert ENCODE in computed(second, again)
    assert {number(workflow, one) for one in (ALIGN, POSE, "ThreeDpSpLoadModel")} <= second.cached


def test_the_same_again_computes_nothing(client: Client) -> None:
    workflow = quick_turntable()
    client.succeed(workflow)
    assert client.succeed(workflow).executed == []


def slow(node_type: str) -> Workflow:
    """A workflow whose node of this type takes minutes."""
    if node_type == REFINE:
        workflow = changed(shipped("photo_to_turntable_refined"), REFINE, steps=5000)
        return changed(workflow, PATH, frames=2)
    if node_type == ENCODE:
        return changed(quick_turntable(), ENCODE, steps=1000)
    return changed(quick_turntable(), PATH, frames=2000)


@pytest.mark.parametrize("node_type", [REFINE, ENCODE, RENDER])
def test_interrupting_stops_soon_and_the_next_run_works(
    client: Client, node_type: str, tell: Callable[[str], None]
) -> None:
    workflow = slow(node_type)
    queued = client.queue(workflow)
    client.wait_for_progress(queued, node_type, workflow)
    begun = time.monotonic()
    client.interrupt()
    run = client.wait(queued, timeout=60)
    seconds = time.monotonic() - begun
    assert run.status == "interrupted"
    assert workflow[run.executed[-1]]["class_type"] == node_type
    tell(f"interrupt in {node_type.removeprefix('ThreeDpSp')}: stopped after {seconds:.2f} s")
    assert seconds < INTERRUPT_SECONDS
    assert len(client.succeed(quick_turntable()).files("show")) == 3


def test_progress_and_previews_arrive(client: Client) -> None:
    workflow = changed(shipped("photo_to_turntable_refined"), REFINE, steps=3)
    workflow = changed(workflow, PATH, frames=4)
    client.free()
    run = client.succeed(workflow)
    for node_type in (ALIGN, ENCODE, REFINE, RENDER):
        node = number(workflow, node_type)
        shares = [done / total for one, done, total in run.progress if one == node]
        assert shares == sorted(shares) and shares[-1] == 1, f"{node_type}: {shares}"
        if node_type != ALIGN:  # a photo is aligned in one go
            assert len(shares) >= 3, f"{node_type}: {shares}"
            assert run.previews.count(node) >= 3, f"{node_type}: {run.previews}"


def test_memory_stays_where_it_was(
    comfyui_environment: Environment, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    with Server(comfyui_environment, tmp_path / "base") as own:
        client = own.client()
        held = []
        for turn in range(20):
            # Other angles each time: everything after Align is computed anew, and the cache keeps what it kept before.
            workflow = changed(quick_turntable(8), POSE, turn_yaw=turn / 2)
            run = client.succeed(workflow)
            assert {POSE, ENCODE, RENDER} <= computed(run, workflow)
            held.append(own.memory_mb())
        client.close()
    # the first runs fill the allocator's own pools: what they hold is used again, and not more is taken
    tell(f"memory after 8 runs {held[7]:.0f} MB, after 20 runs {held[19]:.0f} MB ({held[19] / held[7] - 1:+.1%})")
    assert held[19] < MEMORY_GROWTH * held[7], held


def test_a_saved_head_renders_the_same_when_loaded(client: Client) -> None:
    """A refined one: its tuned weights must come along."""
    workflow = shipped("photo_to_turntable_refined")
    refine = number(workflow, REFINE)
    workflow = changed(only_for(workflow, refine), REFINE, steps=3)
    model = number(workflow, "ThreeDpSpLoadModel")
    own_view = {"model": [model, 0], "latent": [refine, 0], "size": 0, "frames_at_once": 1}
    workflow["views"] = {"class_type": RENDER, "inputs": own_view}
    workflow["show"] = {"class_type": "PreviewImage", "inputs": {"images": ["views", 0]}}
    workflow["save"] = {
        "class_type": "ThreeDpSpSaveLatent",
        "inputs": {"latent": [refine, 0], "filename_prefix": "latents/round_trip"},
    }
    saved = client.succeed(workflow)
    (path,) = text_of(saved, "save").splitlines()

    loading = only_for(workflow, model)
    loading["load"] = {"class_type": "ThreeDpSpLoadLatent", "inputs": {"file": f"latents/{Path(path).name} [output]"}}
    loading["views"] = {"class_type": RENDER, "inputs": own_view | {"latent": ["load", 0]}}
    loading["show"] = workflow["show"]
    loaded = client.succeed(loading)
    assert np.array_equal(shown(client, saved)[0], shown(client, loaded)[0])


def test_several_photos_of_one_person_give_one_head(client: Client, server: Server) -> None:
    astronaut = "threedpsp_astronaut.jpg"
    (server.base / "input" / "astronaut_again.jpg").write_bytes((server.base / "input" / astronaut).read_bytes())
    workflow = of_photos(quick_turntable(2), astronaut, "astronaut_again.jpg")
    people = client.succeed(workflow)
    assert len(people.files("show")) == 4  # two heads, two frames each
    one = client.succeed(changed(workflow, ENCODE, photos_show="one person"))
    first, _ = shown(client, one)
    assert (
        identity(server.base / "input" / astronaut, first) < ENCODED + 0.1
    )  # measured at 128 pixels and from the front


def test_a_photo_without_face_is_left_out_when_asked(client: Client, without_face: str) -> None:
    workflow = of_photos(quick_turntable(2), "threedpsp_astronaut.jpg", without_face, "threedpsp_face_8.jpg")
    workflow["report"] = {"class_type": "PreviewAny", "inputs": {"source": [number(workflow, ALIGN), 2]}}
    run = client.succeed(changed(workflow, ALIGN, no_face="skip"))
    assert len(run.files("show")) == 4
    assert "Left out. Photo 2 of 3" in text_of(run, "report")


def test_a_mesh_can_be_a_ply_file(client: Client, server: Server) -> None:
    import trimesh

    workflow = shipped("photo_to_mesh")
    extract = number(workflow, "ThreeDpSpExtractMesh")
    workflow = changed(only_for(workflow, extract), "ThreeDpSpExtractMesh", format="ply", resolution=96)
    (name, _) = client.succeed(workflow).outputs[extract]["result"]
    shape = trimesh.load(server.output / name, force="mesh")
    surface_words(shape)


def test_random_heads_differ_by_seed(client: Client) -> None:
    (one,) = shown(client, client.succeed(random_head(1)))
    (two,) = shown(client, client.succeed(random_head(2)))
    assert not np.array_equal(one, two)
