"""How many frames are rendered together, and what happens when memory runs out."""

from __future__ import annotations

import pytest
import torch

from tests.core.small_model import save_small_model
from threedpsp import Camera, Inversion, WPlus, camera_path, load_generator, render
from threedpsp.eg3d.config import GeneratorConfig
from threedpsp.eg3d.generator import Generator
from threedpsp.frame_chunks import frame_bytes, frames_together, free_bytes, in_chunks

GB = 10**9


@pytest.mark.parametrize(
    ("frames", "free", "expected"),
    [(48, None, 1), (48, 0, 1), (48, 3 * GB, 1), (48, 20 * GB, 10), (4, 20 * GB, 4), (480, 80 * GB, 16)],
)
def test_as_many_frames_as_half_of_the_free_memory_holds(frames: int, free: int | None, expected: int) -> None:
    assert frames_together(frames, free, 1 * GB) == expected


def test_free_memory_is_asked_of_graphics_cards_alone() -> None:
    assert free_bytes(torch.device("cpu")) is None


def test_a_frame_of_the_published_size_takes_gigabytes_and_one_of_the_embedded_model_far_less() -> None:
    """The plain renderer at 128 x 128 with 96 samples holds features and hidden layers of 1.6 million points."""
    assert 1.5 * GB < frame_bytes(GeneratorConfig.ffhq512_128()) < 4 * GB
    assert frame_bytes(GeneratorConfig.tiny()) < 0.5 * GB


def test_chunks_are_halved_until_they_fit() -> None:
    asked: list[int] = []

    def make(of: slice) -> list[int]:
        found = list(range(10))[of]
        asked.append(len(found))
        if len(found) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return found

    made = [number for part in in_chunks(10, 8, make) for number in part]
    assert made == list(range(10))
    assert asked == [8, 4, 2, 2, 2, 2, 2]


def test_one_frame_that_does_not_fit_is_an_error() -> None:
    def make(of: slice) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        list(in_chunks(3, 2, make))


def test_a_turntable_survives_running_out_of_memory(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = load_generator(
        save_small_model(tmp_path_factory.mktemp("model")) / "generator.safetensors", device="cpu"
    )
    ws = torch.randn(1, generator.config.num_ws, generator.config.w_dim, generator=torch.Generator().manual_seed(0))
    head = Inversion(WPlus(ws, generator.fingerprint), Camera.orbit(8.0, -4.0))
    cameras = camera_path("swing", 5, head.camera)
    expected = [view.image for view in render(generator, head, cameras)]
    whole = Generator.render

    def crowded(self: Generator, planes: object, ws: object, camera: Camera, **settings: object) -> object:
        if len(camera) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, planes, ws, camera, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(Generator, "render", crowded)
    found = [view.image for view in render(generator, head, cameras, chunk=5)]
    assert len(found) == 5
    for actual, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-5)  # as in test_rendering
