"""Cameras of generators that do not stand and look as the face models do: cats and cars."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from threedpsp.camera import FACE_SPHERE, Camera, CameraSphere, focal_from_fov_degrees, intrinsics_from_focal
from threedpsp.eg3d.config import GeneratorConfig
from threedpsp.eg3d.generator import Generator
from threedpsp.encoder.inversion import compute_avg_image, compute_latent_avg
from threedpsp.encoder.pti import mapped_mean
from threedpsp.encoder.refine import RefineConfig, mapped_spread
from threedpsp.encoder.refine_terms import NovelViews, PhotoTarget
from threedpsp.paths import camera_path, keyframes, turned, views
from threedpsp.results import VideoOptions
from threedpsp.types import FaceCrop

CONFIGS = {"cats": GeneratorConfig.afhqcats512_128(), "cars": GeneratorConfig.shapenetcars128_64()}
STANDS = {"cats": (2.7, (0.0, 0.0, -0.06)), "cars": (1.7, (0.0, 0.0, 0.0))}
FACES = ["ffhq512_128", "ffhqrebalanced512_128", "ffhq512_64", "tiny"]


def small(config: GeneratorConfig) -> Generator:
    """The same with few channels, samples and rays, and random weights."""
    rendering = dataclasses.replace(config.rendering, depth_resolution=12, depth_resolution_importance=6)
    sizes = dataclasses.replace(
        config, z_dim=8, w_dim=8, channel_max=4, plane_channels=4, decoder_hidden=8, sr_channels=(4, 4),
        plane_resolution=32, neural_rendering_resolution=16, rendering=rendering,
    )  # fmt: skip
    torch.manual_seed(0)
    return Generator(sizes).eval().requires_grad_(False)


def frontal_by_hand(name: str) -> Camera:
    """On the z axis, looking along it backwards: x right, y down, z towards the origin."""
    radius, _ = STANDS[name]
    cam2world = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    cam2world[2, 3] = radius
    return Camera(cam2world[None], intrinsics_from_focal(focal_from_fov_degrees(18.837)))


def distance_to_pivot(cameras: Camera, pivot: tuple[float, float, float]) -> Tensor:
    """How far the middle rays pass from a point."""
    to_pivot = torch.tensor(pivot) - cameras.position
    return torch.linalg.cross(cameras.cam2world[:, :3, 2], to_pivot).norm(dim=1)


@pytest.mark.parametrize("name", CONFIGS)
def test_frontal_camera_is_the_generators_own(name: str) -> None:
    torch.testing.assert_close(CONFIGS[name].camera_sphere.frontal().label, frontal_by_hand(name).label)


@pytest.mark.parametrize("name", CONFIGS)
def test_averages_are_conditioned_on_the_generators_own_camera(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = small(CONFIGS[name])
    seen: list[Camera] = []
    mapping = Generator.mapping

    def spied(self: Generator, z: Tensor, conditioning_camera: Camera, *rest: float) -> Tensor:
        seen.append(conditioning_camera)
        return mapping(self, z, conditioning_camera, *rest)

    monkeypatch.setattr(Generator, "mapping", spied)
    compute_latent_avg(generator, 16)
    mapped_mean(generator, 16)
    mapped_spread(generator, 16)
    assert len(seen) == 3
    for camera in seen:
        torch.testing.assert_close(camera.label, frontal_by_hand(name).label)


@pytest.mark.parametrize("name", CONFIGS)
def test_first_estimate_is_seen_from_the_generators_own_camera(name: str) -> None:
    generator = small(CONFIGS[name])
    latent_avg = compute_latent_avg(generator, 16)
    ours = compute_avg_image(generator, latent_avg, 64)

    def seen_from(camera: Camera) -> Tensor:
        return F.interpolate(generator.synthesis(latent_avg, camera).image, size=(64, 64), mode="bilinear")

    torch.testing.assert_close(ours, seen_from(frontal_by_hand(name)), atol=1e-5, rtol=1e-5)
    if name == "cars":  # a camera in front of cats is the same one, wherever on its axis it looks
        assert (ours - seen_from(Camera.frontal())).abs().max() > 1e-3


@pytest.mark.parametrize("path", ["swing", "orbit", "ellipse"])
@pytest.mark.parametrize("name", STANDS)
def test_paths_stand_and_look_as_the_generators_cameras_do(name: str, path: str) -> None:
    radius, pivot = STANDS[name]
    sphere = CONFIGS[name].camera_sphere
    for start in (None, sphere.at(12.0, -5.0)):
        cameras = camera_path(path, 9, start, sphere=sphere)
        torch.testing.assert_close(cameras.position.norm(dim=1), torch.full((9,), radius))
        assert distance_to_pivot(cameras, pivot).max() < 1e-5


@pytest.mark.parametrize("name", STANDS)
def test_keyframes_views_and_turns_look_at_the_generators_pivot(name: str) -> None:
    radius, pivot = STANDS[name]
    sphere = CONFIGS[name].camera_sphere
    made = [
        keyframes([(0.0, 0.0), (40.0, 10.0)], 5, sphere=sphere),
        views([-30.0, 30.0], sphere=sphere),
        turned(sphere.at(10.0), 20.0, 5.0, sphere=sphere),
    ]
    for cameras in made:
        torch.testing.assert_close(cameras.position.norm(dim=1), torch.full((len(cameras),), radius))
        assert distance_to_pivot(cameras, pivot).max() < 1e-5
    near = keyframes([(5.0, 0.0)], 2, radius=1.2, sphere=sphere)
    torch.testing.assert_close(near.position.norm(dim=1), torch.full((2,), 1.2))


@pytest.mark.parametrize("name", STANDS)
def test_refining_looks_at_novel_views_from_the_generators_own_sphere(name: str) -> None:
    radius, pivot = STANDS[name]
    generator, sphere = small(CONFIGS[name]), CONFIGS[name].camera_sphere
    camera = sphere.at(8.0, 3.0)
    ws = compute_latent_avg(generator, 16)
    planes = generator.planes(ws)
    start = generator.render(planes, ws, camera)
    settings = RefineConfig(steps=1, perceptual_weight=0.0, identity_weight=0.0, novel_weight=0.0)
    target = PhotoTarget(FaceCrop(torch.zeros(1, 3, 16, 16), camera), 16, torch.device("cpu"), settings)
    cameras = Camera.cat([view.camera for view in NovelViews(generator, planes, ws, camera, start, target).views])
    torch.testing.assert_close(cameras.position.norm(dim=1), torch.full((len(cameras),), radius))
    assert distance_to_pivot(cameras, pivot).max() < 1e-5


def test_videos_look_at_the_generators_pivot() -> None:
    sphere = CONFIGS["cats"].camera_sphere
    cameras = VideoOptions(frames=3).cameras(sphere.at(5.0), sphere)
    assert distance_to_pivot(cameras, sphere.pivot).max() < 1e-5


def test_dolly_goes_to_and_fro_about_the_generators_own_distance() -> None:
    cameras = camera_path("dolly", 5, sphere=CONFIGS["cars"].camera_sphere)
    assert cameras.position.norm(dim=1)[[0, -1]].tolist() == pytest.approx([1.7 * 1.4, 1.7 * 0.75])


@pytest.mark.parametrize("name", FACES)
def test_cameras_of_face_models_are_bit_for_bit_the_known_ones(name: str) -> None:
    sphere = getattr(GeneratorConfig, name)().camera_sphere
    yaw, pitch = torch.tensor([-31.0, 0.0, 12.5]), torch.tensor([4.0, 0.0, -7.0])
    assert sphere == FACE_SPHERE == CameraSphere()
    assert torch.equal(sphere.frontal().label, Camera.frontal().label)
    assert torch.equal(sphere.at(yaw, pitch).label, Camera.orbit(yaw, pitch).label)
    start = Camera.orbit(9.0, -6.0)
    for path in ("swing", "orbit", "ellipse", "dolly"):
        assert torch.equal(camera_path(path, 7, start, sphere=sphere).label, camera_path(path, 7, start).label)
    assert torch.equal(keyframes([(0, 0), (9, 3)], 4, sphere=sphere).label, keyframes([(0, 0), (9, 3)], 4).label)
