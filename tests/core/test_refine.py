"""Refining with small networks on their own renders: it improves, keeps the best, respects budget and bounds."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.core.small_networks import small_generator
from threedpsp.camera import Camera
from threedpsp.eg3d.generator import Generator
from threedpsp.encoder import refine as refine_module
from threedpsp.encoder import refine_terms
from threedpsp.encoder.camera_offset import CameraOffset, angle_between_degrees, rotation_from_vector
from threedpsp.encoder.face_points import lift_points, project_points
from threedpsp.encoder.refine import RefineConfig, RefineProgress, refine
from threedpsp.encoder.refine_terms import PhotoTarget
from threedpsp.errors import InputError, MissingDependencyError, WeightsError
from threedpsp.precision import BFLOAT16, FLOAT32
from threedpsp.types import FaceCrop, Inversion, WPlus

PIXELS_ONLY = RefineConfig(perceptual_weight=0, identity_weight=0, novel_weight=0, steps=15, ws_lr=0.1)
WS_ONLY = dataclasses.replace(PIXELS_ONLY, tune_generator=False, tune_planes=False)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return small_generator()


@pytest.fixture(scope="module")
def crop(generator: Generator) -> FaceCrop:
    """The generator's own picture of some ws, from a camera, enlarged as photos are."""
    camera = Camera.orbit(12.0, 3.0)
    with torch.no_grad():
        ws = generator.mapping(torch.randn(1, 16, generator=torch.Generator().manual_seed(3)), Camera.frontal())
        image = F.interpolate(generator.synthesis(ws, camera).image, scale_factor=2, mode="bilinear")
    landmarks = torch.rand(1, 478, 2, generator=torch.Generator().manual_seed(1)) * 128
    landmarks[0, [263, 362, 33, 133, 2]] = torch.tensor([[90.0, 50], [72, 51], [40, 50], [56, 51], [64, 76]])
    return FaceCrop(image, camera, torch.full((1, 128, 128), 0.5), landmarks=landmarks)


@pytest.fixture(scope="module")
def start(generator: Generator, crop: FaceCrop) -> Inversion:
    """Another ws than the photo's."""
    with torch.no_grad():
        ws = generator.mapping(torch.randn(1, 16, generator=torch.Generator().manual_seed(4)), Camera.frontal())
    return Inversion(WPlus(ws, generator.fingerprint), crop.camera, info={"encoder_steps": 5})


@torch.no_grad()
def rendered(generator: Generator, inversion: Inversion) -> torch.Tensor:
    """The photo's view, put together from the inversion's parts."""
    tuned = generator.with_delta(inversion.generator_delta or {})
    planes = tuned.planes(inversion.latent.ws)
    if inversion.plane_offset is not None:
        planes = dataclasses.replace(planes, features=planes.features + inversion.plane_offset)
    return tuned.render(planes, inversion.latent.ws, inversion.camera).image


def photo_error(generator: Generator, inversion: Inversion, crop: FaceCrop) -> float:
    """Mean squared error to the photo of what the inversion renders, from its parts alone."""
    image = rendered(generator, inversion)
    return (image - F.avg_pool2d(crop.image, 2)).square().mean().item()


def test_refining_reduces_every_term_and_leaves_the_generator_alone(
    generator: Generator, start: Inversion, crop: FaceCrop
) -> None:
    weights = {name: value.clone() for name, value in generator.state_dict().items()}
    refined = refine(generator, start, crop, RefineConfig(steps=8, ws_lr=0.1))
    info = refined.info["refine"]
    assert info["steps"] == 8
    for name in ("l2", "perceptual", "identity"):
        assert info["after"][name] < info["before"][name], name
    assert photo_error(generator, refined, crop) < 0.6 * photo_error(generator, start, crop)
    assert all(torch.equal(weights[name], value) for name, value in generator.state_dict().items())
    assert refined.latent.generator == generator.fingerprint
    json.dumps(refined.info)
    assert refined.info["encoder_steps"] == 5


def test_refining_in_bfloat16_reduces_every_term_and_is_the_same_again(
    generator: Generator, start: Inversion, crop: FaceCrop
) -> None:
    half = generator.with_delta({})
    half.precision = BFLOAT16
    config = RefineConfig(steps=8, ws_lr=0.1)
    refined, again = (refine(half, start, crop, config) for _ in range(2))
    info = refined.info["refine"]
    assert info["precision"] == "bfloat16" and generator.precision == FLOAT32
    for name in ("l2", "perceptual", "identity"):
        assert info["after"][name] < info["before"][name], name
    assert torch.equal(refined.latent.ws, again.latent.ws)
    assert refined.render is not None and again.render is not None
    assert torch.equal(refined.render.image, again.render.image)


def test_result_renders_as_it_says_after_its_rounding(generator: Generator, start: Inversion, crop: FaceCrop) -> None:
    refined = refine(generator, start, crop, PIXELS_ONLY)
    assert refined.generator_delta and refined.plane_offset is not None and refined.render is not None
    assert refined.plane_offset.dtype == torch.float16
    assert {value.dtype for value in refined.generator_delta.values()} == {torch.float16}
    assert not any(name.startswith("backbone.mapping") for name in refined.generator_delta)
    torch.testing.assert_close(rendered(generator, refined), refined.render.image)


def test_more_freedom_fits_better(generator: Generator, start: Inversion, crop: FaceCrop) -> None:
    at_once = dataclasses.replace(PIXELS_ONLY, tune_after=0)  # 15 updates are few for weights that join after five
    only_ws = refine(generator, start, crop, WS_ONLY)
    assert only_ws.generator_delta is None and only_ws.plane_offset is None
    weights = refine(generator, start, crop, dataclasses.replace(at_once, tune_planes=False))
    assert weights.generator_delta and weights.plane_offset is None
    everything = refine(generator, start, crop, at_once)
    errors = [photo_error(generator, inversion, crop) for inversion in (everything, weights, only_ws, start)]
    assert errors == sorted(errors)


def test_result_is_never_worse_than_its_input(generator: Generator, start: Inversion, crop: FaceCrop) -> None:
    absurd = dataclasses.replace(PIXELS_ONLY, ws_lr=100.0, camera_lr=50.0, tune_lr=10.0, steps=4, tune_after=0)
    refined = refine(generator, start, crop, absurd)
    after, before = (sum(refined.info["refine"][key].values()) for key in ("after", "before"))
    assert after <= before
    assert photo_error(generator, refined, crop) <= photo_error(generator, start, crop) * 1.001


def test_best_state_is_kept_not_the_last(generator: Generator, start: Inversion, crop: FaceCrop) -> None:
    objectives: list[float] = []

    def note(progress: RefineProgress) -> None:
        objectives.append(progress.objective)

    restless = dataclasses.replace(WS_ONLY, ws_lr=3.0, steps=12)
    refined = refine(generator, start, crop, restless, note)
    assert min(objectives) < objectives[-1]  # else this test shows nothing: raise ws_lr
    assert sum(refined.info["refine"]["after"].values()) == pytest.approx(min(objectives), rel=1e-3)


def test_a_budget_in_steps_gives_the_same_result_each_time(
    generator: Generator, start: Inversion, crop: FaceCrop
) -> None:
    config = RefineConfig(steps=4, seed=5, tune_after=2)
    first, second = (refine(generator, start, crop, config) for _ in range(2))
    assert torch.equal(first.latent.ws, second.latent.ws)
    assert torch.equal(first.camera.cam2world, second.camera.cam2world)
    assert first.generator_delta is not None and second.generator_delta is not None
    assert all(torch.equal(value, second.generator_delta[name]) for name, value in first.generator_delta.items())
    other = refine(generator, start, crop, dataclasses.replace(config, seed=6))
    assert not torch.equal(first.latent.ws, other.latent.ws)


def test_a_budget_in_seconds_is_not_exceeded(
    generator: Generator, start: Inversion, crop: FaceCrop, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(refine_module, "_clock", lambda: now[0])

    def one_second_each(progress: RefineProgress) -> None:
        now[0] += 1.0

    refined = refine(
        generator, start, crop, dataclasses.replace(PIXELS_ONLY, steps=None, seconds=10.0), one_second_each
    )
    info = refined.info["refine"]
    assert info["seconds"] == now[0] - 100 and 8 <= info["seconds"] <= 9.5  # time for the final render is left
    assert info["generator_tuned"]


@pytest.mark.parametrize("config", [RefineConfig(steps=0), RefineConfig(seconds=0.0)], ids=["steps", "seconds"])
def test_no_budget_gives_the_input_back(
    generator: Generator, start: Inversion, crop: FaceCrop, config: RefineConfig
) -> None:
    refined = refine(generator, start, crop, config)
    assert torch.equal(refined.latent.ws, start.latent.ws)
    torch.testing.assert_close(refined.camera.cam2world, start.camera.cam2world)
    assert refined.info["refine"]["steps"] == 0 and refined.generator_delta is None and refined.plane_offset is None


def test_callback_sees_each_step_and_can_end_it(generator: Generator, start: Inversion, crop: FaceCrop) -> None:
    seen: list[RefineProgress] = []

    def stop_at_three(progress: RefineProgress) -> bool:
        seen.append(progress)
        return progress.step < 3

    refined = refine(generator, start, crop, PIXELS_ONLY, stop_at_three)
    assert [progress.step for progress in seen] == [0, 1, 2, 3]
    assert seen[0].fraction == 0 and seen[3].fraction == pytest.approx(3 / 15)
    assert set(seen[0].losses) == {"l2", "distance"}
    assert seen[0].image.shape == (1, 3, 64, 64) and not seen[0].image.requires_grad
    assert refined.info["refine"]["steps"] == 3
    assert sum(refined.info["refine"]["after"].values()) < seen[0].objective

    def fail(progress: RefineProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refine(generator, start, crop, PIXELS_ONLY, fail)


def test_camera_moves_within_its_bounds_or_not_at_all(generator: Generator, start: Inversion, crop: FaceCrop) -> None:
    config = dataclasses.replace(WS_ONLY, steps=10, camera_lr=5.0)
    moved = refine(generator, start, crop, config)
    turned = angle_between_degrees(start.camera, moved.camera).item()
    assert 0 < turned <= 3.0 * 3**0.5
    still = refine(generator, start, crop, dataclasses.replace(config, camera_degrees=0.0, camera_shift=0.0))
    torch.testing.assert_close(still.camera.cam2world, start.camera.cam2world, atol=1e-6, rtol=0)


def test_camera_alone_finds_back_to_where_the_picture_was_taken(generator: Generator, crop: FaceCrop) -> None:
    with torch.no_grad():
        ws = generator.mapping(torch.randn(1, 16, generator=torch.Generator().manual_seed(3)), Camera.frontal())
    wrong = Inversion(WPlus(ws, generator.fingerprint), Camera.orbit(13.5, 2.0))
    config = dataclasses.replace(WS_ONLY, ws_lr=0.0, mirror_weight=0, camera_lr=0.2)
    refined = refine(generator, wrong, crop, config)
    before, after = (angle_between_degrees(crop.camera, i.camera).item() for i in (wrong, refined))
    assert after < 0.5 * before


def test_refining_again_goes_on_from_the_tuned_generator(
    generator: Generator, start: Inversion, crop: FaceCrop
) -> None:
    config = dataclasses.replace(PIXELS_ONLY, steps=8)
    once = refine(generator, start, crop, config)
    twice = refine(generator, once, crop, config)
    assert sum(twice.info["refine"]["before"].values()) <= sum(once.info["refine"]["after"].values()) * 1.01
    assert photo_error(generator, twice, crop) < photo_error(generator, once, crop)
    kept = refine(generator, once, crop, dataclasses.replace(config, tune_generator=False, tune_planes=False, steps=2))
    assert kept.generator_delta is not None and kept.plane_offset is not None
    assert photo_error(generator, kept, crop) <= photo_error(generator, once, crop) * 1.01


def test_missing_packages_drop_their_terms_with_a_note(
    generator: Generator, start: Inversion, crop: FaceCrop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(device: str) -> None:
        raise MissingDependencyError("It is missing. Run 'pip install it'.")

    monkeypatch.setattr(refine_terms, "shared_network", absent)
    monkeypatch.setattr(refine_terms, "shared_perceptual", absent)
    refined = refine(generator, start, crop, RefineConfig(steps=3))
    info = refined.info["refine"]
    assert set(info["after"]) == {"l2", "distance"}
    assert [note for note in info["notes"] if "perceptual" in note and "pip install it" in note]
    assert [note for note in info["notes"] if "identity" in note and "pip install it" in note]


def test_a_crop_without_landmarks_is_refined_without_identity(
    generator: Generator, start: Inversion, crop: FaceCrop
) -> None:
    bare = dataclasses.replace(crop, landmarks=None, mirror_sigma=None)
    info = refine(generator, start, bare, RefineConfig(steps=3)).info["refine"]
    assert "identity" not in info["after"]
    assert "no landmarks" in info["notes"][0]


def test_mirror_term_wants_the_flipped_photo_and_forgives_where_it_is_unsure(crop: FaceCrop) -> None:
    def loss(sigma: float, image: torch.Tensor) -> float:
        mirror_sigma = torch.zeros(1, 128, 128)
        mirror_sigma[:, :, 64:] = sigma  # the right half of the flipped photo
        unsure = dataclasses.replace(crop, mirror_sigma=mirror_sigma)
        return PhotoTarget(unsure, 64, torch.device("cpu"), PIXELS_ONLY).mirror_loss(image).item()

    flipped = F.avg_pool2d(crop.image, 2).flip(3)
    assert loss(0.0, flipped) == 0
    wrong_right = torch.cat([flipped[..., :32], flipped[..., 32:] + 1], 3)
    wrong_left = torch.cat([flipped[..., :32] + 1, flipped[..., 32:]], 3)
    assert loss(3.0, wrong_right) == pytest.approx(loss(0.0, wrong_right) / 4, rel=1e-4)
    assert loss(3.0, wrong_left) == pytest.approx(loss(0.0, wrong_left), rel=1e-4)


def test_refine_refuses_what_does_not_belong_together(generator: Generator, start: Inversion, crop: FaceCrop) -> None:
    foreign = dataclasses.replace(start, latent=WPlus(start.latent.ws, "0" * 16))
    with pytest.raises(WeightsError, match="belongs to generator 0000"):
        refine(generator, foreign, crop, PIXELS_ONLY)
    two = dataclasses.replace(crop, image=crop.image.expand(2, -1, -1, -1))
    with pytest.raises(InputError, match="one photo"):
        refine(generator, start, two, PIXELS_ONLY)
    for wrong in ({"decay": 0.0}, {"steps": -1}, {"seconds": float("nan")}, {"plane_blur": -1}):
        with pytest.raises(InputError):
            RefineConfig(**wrong)  # type: ignore[arg-type]


def test_lifted_points_project_back_and_lie_at_their_depth() -> None:
    camera = Camera.orbit(torch.tensor([-20.0, 30.0]), torch.tensor([5.0, -8.0]))
    points, depth = torch.rand(2, 7, 2), 2.5 + 0.4 * torch.rand(2, 1, 16, 16)
    world = lift_points(points, depth, camera)
    torch.testing.assert_close(project_points(world, camera), points, atol=1e-5, rtol=0)
    middle = lift_points(torch.full((1, 1, 2), 0.5), torch.full((1, 1, 4, 4), 2.5), Camera.frontal())
    torch.testing.assert_close(middle, torch.tensor([[[0.0, 0.0, 0.2]]]), atol=1e-5, rtol=0)


def test_corrected_camera_starts_unchanged_and_keeps_its_distance() -> None:
    camera = Camera.orbit(torch.tensor([-20.0, 30.0]))
    offset = CameraOffset(camera, 3.0, 0.02)
    torch.testing.assert_close(offset().cam2world, camera.cam2world)
    offset().cam2world.sum().backward()
    assert offset.turn.grad is not None and offset.turn.grad.isfinite().all()
    with torch.no_grad():
        offset.turn.copy_(torch.tensor([[0.0, 1.0, 0.0], [100.0, -100.0, 100.0]]))
        offset.shift.fill_(5.0)
    moved = offset()
    assert moved.position.norm(dim=1).tolist() == pytest.approx([2.7, 2.7], abs=1e-3)
    rotation = moved.cam2world[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand(2, 3, 3), atol=1e-5, rtol=0)
    assert angle_between_degrees(camera, moved)[0].item() == pytest.approx(1.0, abs=0.05)
    assert angle_between_degrees(camera, moved)[1].item() < 5.3


def test_rotation_vectors_follow_the_right_hand_rule() -> None:
    quarter = rotation_from_vector(torch.tensor([[0.0, torch.pi / 2, 0.0]]))[0]
    torch.testing.assert_close(
        quarter @ torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.0]), atol=1e-6, rtol=0
    )


def told_by_the_clock(
    generator: Generator,
    start: Inversion,
    crop: FaceCrop,
    monkeypatch: pytest.MonkeyPatch,
    config: RefineConfig,
    seconds: list[float],
) -> dict[str, Any]:
    """What refining tells by a clock on which updates take these seconds, the last of them ever after."""
    now = [0.0]
    monkeypatch.setattr(refine_module, "_clock", lambda: now[0])

    def pass_time(progress: RefineProgress) -> None:
        now[0] += seconds[min(progress.step, len(seconds) - 1)]

    refined = refine(generator, start, crop, config, pass_time)
    return refined.info["refine"]


@pytest.mark.parametrize(
    ("budget", "seconds", "expected"),
    [
        pytest.param({"steps": 12, "seconds": 100.0}, [30.0, 1.0], 12, id="a slow first update costs only itself"),
        pytest.param({"steps": 12, "seconds": 20.0}, [30.0, 1.0], 5, id="a handful is made above the ceiling"),
        pytest.param({"steps": 3, "seconds": 20.0}, [30.0], 3, id="no more than were asked for"),
        pytest.param({"steps": 12, "seconds": 0.0}, [1.0], 0, id="a ceiling of 0 allows none"),
        pytest.param({"steps": 12}, [1000.0], 12, id="steps alone know no clock"),
        pytest.param({"seconds": 1000.0}, [1.0], 40, id="seconds alone are a ceiling"),
        pytest.param({}, [6.0], 8, id="the default has a ceiling"),
    ],
)
def test_refining_ends_after_its_updates_or_at_its_ceiling(
    generator: Generator,
    start: Inversion,
    crop: FaceCrop,
    monkeypatch: pytest.MonkeyPatch,
    budget: dict[str, float],
    seconds: list[float],
    expected: int,
) -> None:
    config = dataclasses.replace(WS_ONLY, **{"steps": None, "seconds": None, **budget})
    info = told_by_the_clock(generator, start, crop, monkeypatch, config, seconds)
    assert info["steps"] == expected
    ceiling = budget.get("seconds", 60 if "steps" not in budget else 0)
    ended = f"{ceiling:g} s were over after {expected} of {budget.get('steps', 40)} updates"
    late = expected < budget.get("steps", 40) and ceiling > 0
    assert any(ended in note for note in info["notes"]) == late


def test_fewer_updates_than_a_likeness_needs_are_noted(generator: Generator, start: Inversion, crop: FaceCrop) -> None:
    def notes(head: Inversion, steps: int) -> tuple[Inversion, str]:
        refined = refine(generator, head, crop, dataclasses.replace(WS_ONLY, steps=steps))
        return refined, " ".join(refined.info["refine"]["notes"])

    few, words = notes(start, 3)
    assert "Only 3 updates" in words and "5" in words
    assert "Only" not in notes(start, 5)[1]
    assert "Only" not in notes(few, 2)[1]  # which goes on where the other ended


def test_updates_do_not_depend_on_how_many_will_follow(generator: Generator, start: Inversion, crop: FaceCrop) -> None:
    def objectives(steps: int) -> list[float]:
        seen: list[float] = []
        config = dataclasses.replace(PIXELS_ONLY, steps=steps)
        refine(generator, start, crop, config, lambda progress: seen.append(progress.objective))
        return seen

    assert objectives(4) == objectives(9)[:5]


def test_the_first_handful_leaves_the_generator_alone(generator: Generator, start: Inversion, crop: FaceCrop) -> None:
    def after(steps: int) -> Inversion:
        return refine(generator, start, crop, dataclasses.replace(PIXELS_ONLY, steps=steps))

    assert after(5).generator_delta is None
    assert after(8).generator_delta


def test_planes_move_smoothly(generator: Generator, start: Inversion, crop: FaceCrop) -> None:
    def roughness(blur: int) -> float:
        config = dataclasses.replace(PIXELS_ONLY, steps=5, tune_generator=False, plane_blur=blur)
        offset = refine(generator, start, crop, config).plane_offset
        assert offset is not None
        return ((offset[:, :, 1:] - offset[:, :, :-1]).float().std() / offset.float().std()).item()

    assert roughness(2) < 0.6 * roughness(0)
