"""Videos: they play, they keep colours, and a failure leaves nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from threedpsp.errors import InputError, OutputError
from threedpsp.export.video import write_video

ROOT = Path(__file__).resolve().parents[2]


def frames(count: int, height: int = 64, width: int = 96) -> Iterator[np.ndarray]:
    """Red grows over time, blue over x."""
    for i in range(count):
        frame = np.full((height, width, 3), 60, np.uint8)
        frame[..., 0] = i * 200 // count
        frame[..., 2] = np.linspace(0, 255, width)
        yield frame


def decode(path: Path) -> tuple[av.VideoStream, list[np.ndarray]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream, [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]


def test_video_plays_with_its_frames_size_and_rate(tmp_path: Path):
    assert write_video(tmp_path / "a.mp4", frames(12), fps=24) == 12
    stream, decoded = decode(tmp_path / "a.mp4")
    assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 24)
    assert [f.shape for f in decoded] == [(64, 96, 3)] * 12


def test_colours_survive(tmp_path: Path):
    """Mean error per channel below 2.5 of 255: 4:2:0 sampling and crf 16 cost about 1.3."""
    write_video(tmp_path / "a.mp4", frames(6))
    for original, decoded in zip(frames(6), decode(tmp_path / "a.mp4")[1], strict=True):
        assert np.abs(original.astype(int) - decoded).mean(axis=(0, 1)).max() < 2.5


def test_odd_sizes_are_padded(tmp_path: Path):
    write_video(tmp_path / "a.mp4", frames(3, 63, 95))
    assert decode(tmp_path / "a.mp4")[1][0].shape == (64, 96, 3)


def test_frames_are_taken_one_at_a_time(tmp_path: Path):
    alive: list[int] = []

    def counted() -> Iterator[np.ndarray]:
        for i, frame in enumerate(frames(5)):
            alive.append(i)
            yield frame

    write_video(tmp_path / "a.mp4", counted())
    assert alive == [0, 1, 2, 3, 4]


def test_failing_frames_leave_no_file(tmp_path: Path):
    def failing() -> Iterator[np.ndarray]:
        yield from frames(3)
        raise RuntimeError("the renderer failed")

    with pytest.raises(RuntimeError, match="renderer"):
        write_video(tmp_path / "a.mp4", failing())
    assert not list(tmp_path.iterdir())


def test_no_frames_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="at least one frame"):
        write_video(tmp_path / "a.mp4", [])
    assert not list(tmp_path.iterdir())


def test_frames_of_two_sizes_are_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="frame 2 is uint8"):
        write_video(tmp_path / "a.mp4", [*frames(2), np.zeros((10, 10, 3), np.uint8)])
    assert not list(tmp_path.iterdir())


def test_missing_folder_is_an_output_error(tmp_path: Path):
    with pytest.raises(OutputError, match="its folder does not exist"):
        write_video(tmp_path / "no" / "a.mp4", frames(2))


def test_full_disk_is_an_output_error_and_leaves_nothing(tmp_path: Path):
    code = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
from threedpsp.errors import OutputError
from threedpsp.export.video import write_video
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
noise = list(np.random.default_rng(0).integers(0, 255, (20, 128, 128, 3), dtype=np.uint8))
try:
    write_video({str(tmp_path / "a.mp4")!r}, noise)
except OutputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "limit on file size" in done.stdout, done.stderr
    assert not list(tmp_path.iterdir())
