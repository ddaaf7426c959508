"""Wrong input to the nodes: ComfyUI's validation refuses it, or the node says in plain words what is wrong."""

from __future__ import annotations

import dataclasses

import pytest

import threedpsp
from tests.comfyui.client import Client, Rejected, Workflow
from tests.comfyui.server import Server
from tests.comfyui.workflows import changed, number, of_photos, only_for, quick_turntable, random_head, shipped
from threedpsp.types import WPlus

pytestmark = pytest.mark.comfyui


def message_of(client: Client, workflow: Workflow, node_type: str) -> str:
    """What the node of this type complains about."""
    run = client.run(workflow)
    assert run.status == "error" and run.error, run
    assert run.error["node_type"] == node_type
    return run.error["exception_message"]


@pytest.mark.parametrize(
    ("node_type", "inputs", "reason"),
    [
        ("ThreeDpSpEncode", {"steps": -1}, "value_smaller_than_min"),
        ("ThreeDpSpEncode", {"steps": 1001}, "value_bigger_than_max"),
        ("ThreeDpSpCameraPath", {"frames": 0}, "value_smaller_than_min"),
        ("ThreeDpSpCameraPath", {"yaw": 90.0}, "value_bigger_than_max"),
        ("ThreeDpSpEncode", {"model": ["6", 0]}, "return_type_mismatch"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else str(value),
)
def test_validation_refuses(client: Client, node_type: str, inputs: dict[str, object], reason: str) -> None:
    with pytest.raises(Rejected) as refused:
        client.queue(changed(quick_turntable(), node_type, **inputs))
    (errors,) = refused.value.answer["node_errors"].values()
    assert errors["class_type"] == node_type
    assert [error["type"] for error in errors["errors"]] == [reason]


def test_validation_misses_a_connection(client: Client) -> None:
    workflow = quick_turntable()
    del workflow[number(workflow, "ThreeDpSpEncode")]["inputs"]["face"]
    with pytest.raises(Rejected) as refused:
        client.queue(workflow)
    (errors,) = refused.value.answer["node_errors"].values()
    assert [error["type"] for error in errors["errors"]] == ["required_input_missing"]
    assert errors["errors"][0]["extra_info"]["input_name"] == "face"


def test_a_photo_without_face_is_named(client: Client, without_face: str) -> None:
    alone = message_of(client, of_photos(quick_turntable(), without_face), "ThreeDpSpAlign")
    assert "face" in alone and "NoneType" not in alone
    batch = of_photos(quick_turntable(), "threedpsp_astronaut.jpg", without_face)
    assert "Photo 2 of 2" in message_of(client, batch, "ThreeDpSpAlign")


def test_a_batch_in_which_nobody_has_a_face_cannot_be_skipped(client: Client, without_face: str) -> None:
    workflow = changed(of_photos(quick_turntable(), without_face), "ThreeDpSpAlign", no_face="skip")
    assert "None of the photos has a usable face" in message_of(client, workflow, "ThreeDpSpAlign")


def test_a_word_that_a_list_does_not_have_is_refused(client: Client) -> None:
    workflow = changed(quick_turntable(), "ThreeDpSpAlign", no_face="perhaps")
    assert "no_face is 'perhaps'; choose one of: stop, skip" in message_of(client, workflow, "ThreeDpSpAlign")


def test_refine_needs_a_face_for_each_head(client: Client) -> None:
    workflow = shipped("photo_to_turntable_refined")
    refine = number(workflow, "ThreeDpSpRefine")
    workflow = only_for(workflow, refine)
    workflow = of_photos(workflow, "threedpsp_astronaut.jpg", "threedpsp_face_8.jpg")
    workflow = changed(workflow, "ThreeDpSpEncode", photos_show="one person")
    workflow["show"] = {"class_type": "PreviewImage", "inputs": {"images": [refine, 1]}}
    message = message_of(client, workflow, "ThreeDpSpRefine")
    assert "1 head(s) and 2 face(s)" in message


def test_a_latent_of_another_generator_is_refused(client: Client, server: Server) -> None:
    workflow = random_head()
    workflow["save"] = {
        "class_type": "ThreeDpSpSaveLatent",
        "inputs": {"latent": ["head", 0], "filename_prefix": "latents/to_be_changed"},
    }
    (path,) = client.succeed(workflow).outputs["save"]["text"]
    head = threedpsp.load_inversion(path.strip())
    foreign = dataclasses.replace(head, latent=WPlus(head.latent.ws, "0123456789abcdef"))
    threedpsp.save_inversion(server.base / "input" / "foreign.safetensors", foreign)
    workflow["head"] = {"class_type": "ThreeDpSpLoadLatent", "inputs": {"file": "foreign.safetensors"}}
    message = message_of(client, only_for(workflow, "show"), "ThreeDpSpRenderViews")
    assert "0123456789abcdef" in message and "Load the generator it was made with" in message


@pytest.mark.parametrize(
    ("node_type", "widget", "choice"),
    [
        ("ThreeDpSpLoadModel", "generator", "gone.pkl"),
        ("ThreeDpSpLoadModel", "encoder", "gone.safetensors"),
        ("ThreeDpSpLoadModel", "method", "gone"),
        ("ThreeDpSpCameraPath", "path", "spiral"),
        ("ThreeDpSpAlign", "border", "velvet"),
        ("ThreeDpSpEstimatePose", "source", "crystal ball"),
    ],
)
def test_a_choice_that_is_gone_is_named(client: Client, node_type: str, widget: str, choice: str) -> None:
    """ComfyUI 0.3.75 checks no choices of nodes like ours, so the node must: a saved workflow may name a lost file."""
    assert choice in message_of(client, changed(quick_turntable(), node_type, **{widget: choice}), node_type)


def test_a_lost_latent_is_named(client: Client) -> None:
    workflow = random_head() | {
        "head": {"class_type": "ThreeDpSpLoadLatent", "inputs": {"file": "../../gone.safetensors"}},
    }
    assert "gone.safetensors" in message_of(client, workflow, "ThreeDpSpLoadLatent")


def test_damaged_weights_are_named(client: Client, server: Server) -> None:
    weights = server.base / "models" / "threedpsp" / "damaged.pkl"
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(b"no weights at all")
    workflow = changed(random_head(), "ThreeDpSpLoadModel", generator="damaged.pkl")
    assert "damaged.pkl" in message_of(client, workflow, "ThreeDpSpLoadModel")
    weights.unlink()
