"""Frames to an H.264 video that plays everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from ..errors import InputError, MissingDependencyError, OutputError
from ..output import atomic_write

_BT709 = 1


def write_video(path: str | Path, frames: Iterable[UInt8[ndarray, "h w 3"]], fps: float = 24.0, crf: int = 16) -> int:
    """Writes a video, one frame at a time, whole or not at all.

    It is an .mp4 in the format that every player knows: H.264, with half of the rows and columns of the colours
    (yuv420p), which are those of high-definition television (BT.709).

    frames: uint8 [H,W,3], all of one size; where a side is odd, the last row or column is there twice.
    crf: the quality, from 0, which is best, to 51.

    Returns:
        How many frames were written.

    Raises:
        InputError: no frames, or a frame that is not uint8 [H,W,3] of the first frame's size.
        OutputError: it cannot be written.
        MissingDependencyError: PyAV is not installed.
    """
    av = _pyav()
    with atomic_write(path) as temporary:
        try:
            return _encode(av, temporary, frames, fps, crf)
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise OutputError(f"Could not encode {path}: {error}.") from error


def _encode(av: Any, path: Path, frames: Iterable[ndarray], fps: float, crf: int) -> int:
    """The encoding itself; returns the number of frames."""
    count, shape, stream = 0, None, None
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        for frame in frames:
            frame = np.asarray(frame)
            if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or shape not in (None, frame.shape):
                raise InputError(
                    "A video needs frames that are uint8 [H,W,3] and all of one size; "
                    f"frame {count} is {frame.dtype} {list(frame.shape)}."
                )
            shape = frame.shape
            even = np.pad(frame, ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0)), mode="edge")
            if stream is None:
                stream = _stream(container, even.shape[1], even.shape[0], fps, crf)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            for packet in stream.encode(picture):
                container.mux(packet)
            count += 1
        if stream is None:
            raise InputError("A video needs at least one frame.")
        for packet in stream.encode():
            container.mux(packet)
    return count


def _stream(container: Any, width: int, height: int, fps: float, crf: int) -> Any:
    """An H.264 stream of the container."""
    stream = container.add_stream("h264", rate=Fraction(fps).limit_denominator(1000))
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.options = {"crf": str(crf), "preset": "medium"}
    context = stream.codec_context
    context.color_range = 1  # limited, as players expect
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    return stream


def _pyav() -> Any:
    """PyAV, which carries FFmpeg in its wheel."""
    try:
        import av
    except ImportError as error:
        raise MissingDependencyError("PyAV (package 'av') writes the videos and is missing: pip install av") from error
    return av
