"""Faces in a photo: MediaPipe's 478 points, looked for at several scales."""

from __future__ import annotations

import atexit
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..errors import MissingDependencyError
from .landmark_model import find_landmark_model, mirror_index

POINTS = 478
MAX_FACES = 16
DETECTION_SIDE = 1280  # photos are searched at most this large; the network looks at 128 x 128
SEEN_SHARE = 0.12  # a face that takes this share of what the network looks at is found
SMALLEST_TILE = 120
SMALLEST_SECOND = 40.0  # pixels; smaller faces beside a found one are of no use
CLOSE_UP_SIDE = 384  # the side of the close-up that the final points come from
_SYSTEM_LIBRARIES = "libegl1 libgles2"


@dataclass(frozen=True)
class Face:
    """One face.

    points: [478,2] float32, in pixels of the photo; x is to the right, y down, and 0 is at the edge of the first pixel.
    points_z: [478] float32, the relative depth in pixels; smaller is nearer.
    box: the rectangle around the points, in pixels: left, top, right, bottom.
    """

    points: np.ndarray
    points_z: np.ndarray

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) around the points, pixels."""
        (left, top), (right, bottom) = self.points.min(0), self.points.max(0)
        return float(left), float(top), float(right), float(bottom)

    @property
    def width(self) -> float:
        """Width of the box in pixels."""
        return float(np.ptp(self.points[:, 0]))

    @property
    def size(self) -> float:
        """Longer side of the box in pixels."""
        return float(np.ptp(self.points, axis=0).max())


class FaceDetector:
    """MediaPipe's FaceLandmarker; use it as a context manager, or `close()` it.

    Raises:
        MissingDependencyError: mediapipe, a system library it needs, or its model file is missing.
    """

    def __init__(self) -> None:
        self._mediapipe, self._landmarker = _create_landmarker()
        _open_detectors.add(self)

    def __enter__(self) -> FaceDetector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks; the detector cannot be used after this."""
        if self._landmarker is not None:
            self._landmarker.close()
            self._landmarker = None

    def _abandon(self) -> None:
        """At the process's end: mediapipe closes with a thread that can no longer be started, so don't let it try."""
        if self._landmarker is not None:
            self._landmarker._handle = None

    def detect(self, image: np.ndarray) -> list[Face]:
        """The faces of a photo [H,W,3] uint8, largest first: all that are at least half as large as the largest.

        Looks harder only as far as it must. Every face found is looked at again in a close-up, and in its mirror image:
        the points are the mean of the two, and what is not a face in the close-up is dropped.
        """
        scale = min(1.0, DETECTION_SIDE / max(image.shape[:2]))
        small = _resized(image, scale)
        faces: list[Face] = []
        for candidates in self._seen_in_whole(small, scale):
            faces = self._confirmed(candidates, image, small, scale)
            if faces:
                break
        looked_at = float(max(image.shape[:2]))
        for division in (2, 4, 8, 16):
            wanted = max(faces[0].size / 2, SMALLEST_SECOND) if faces else 0.0
            tile = max(image.shape[:2]) / division
            if wanted >= SEEN_SHARE * looked_at or tile < SMALLEST_TILE:
                break
            others = [
                face for face in self._seen_in_tiles(image, tile) if all(_overlap(face, known) < 0.3 for known in faces)
            ]
            faces = _without_doubles(faces + self._confirmed(_without_doubles(others), image, small, scale))
            looked_at = tile
        return faces

    def detect_once(self, image: np.ndarray) -> list[Face]:
        """What the network says of the image as it is."""
        if self._landmarker is None:
            raise ValueError("This FaceDetector is closed.")
        height, width = image.shape[:2]
        wrapped = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        faces = []
        for landmarks in self._landmarker.detect(wrapped).face_landmarks:
            xyz = np.array([[p.x * width, p.y * height, p.z * width] for p in landmarks], np.float32)
            if len(xyz) == POINTS and np.isfinite(xyz).all():
                faces.append(Face(xyz[:, :2], xyz[:, 2]))
        return faces

    def _seen_in_whole(self, small: np.ndarray, scale: float) -> Iterator[list[Face]]:
        """Candidates in the photo, in the padded photo (tight crops), and in the mirror images of both."""
        yield self._seen_in(small, 0, 0, scale)
        padding = max(small.shape[:2]) // 2
        padded = np.pad(small, ((padding, padding), (padding, padding), (0, 0)), mode="edge")
        corner = -padding / scale
        yield self._seen_in(padded, corner, corner, scale)
        width = small.shape[1] / scale
        for part, offset in ((small, 0.0), (padded, corner)):
            yield [_mirrored(face, width) for face in self._seen_in(part[:, ::-1], offset, offset, scale)]

    def _confirmed(self, candidates: list[Face], image: np.ndarray, small: np.ndarray, scale: float) -> list[Face]:
        """The close-ups of those that are faces, largest first; the second is centred on what the first found."""
        for last in (False, True):
            close_ups = [self._close_up(image, small, scale, face, last) for face in candidates]
            candidates = [face for face in close_ups if face is not None]
        return _without_doubles(candidates)

    def _seen_in(self, part: np.ndarray, left: float, top: float, scale: float) -> list[Face]:
        """Faces of a scaled part of the photo, in the photo's pixels."""
        offset = np.array([left, top], np.float32)
        return [Face(face.points / scale + offset, face.points_z / scale) for face in self.detect_once(part)]

    def _seen_in_tiles(self, image: np.ndarray, side: float) -> list[Face]:
        height, width = image.shape[:2]
        faces = []
        for top in _tile_starts(height, side):
            for left in _tile_starts(width, side):
                tile = image[top : top + round(side), left : left + round(side)]
                scale = min(1.0, 640 / side)
                tile = _resized(tile, scale)
                faces += self._seen_in(tile, left, top, scale)
        return faces

    def _close_up(self, image: np.ndarray, small: np.ndarray, scale: float, face: Face, last: bool) -> Face | None:
        """The face seen again at a fixed size, straight and mirrored; None if both say it is none.

        small: the photo times `scale`, taken where it has enough pixels of the face.
        last: False where it only says how to cut the next one; then the mirror image is a second try.
        """
        half = face.size  # twice the face
        source, scale = (small, scale) if 2 * half * scale >= CLOSE_UP_SIDE else (image, 1.0)
        left, top, right, bottom = (v * scale for v in face.box)
        corner = np.round([(left + right) / 2 - half * scale, (top + bottom) / 2 - half * scale]).astype(int)
        side = max(round(2 * half * scale), 8)
        close_up = _resized(_square(source, int(corner[0]), int(corner[1]), side), CLOSE_UP_SIDE / side)
        zoom = CLOSE_UP_SIDE / side * scale
        seen: list[Face] = []
        for mirrored in (False, True):
            if last or not seen:
                same = self._same_face(close_up, face, corner / scale, zoom, mirrored)
                seen += [] if same is None else [same]
        if not seen:
            return None
        return Face(np.mean([s.points for s in seen], 0), np.mean([s.points_z for s in seen], 0))

    def _same_face(
        self, close_up: np.ndarray, face: Face, corner: np.ndarray, zoom: float, mirrored: bool
    ) -> Face | None:
        found = self.detect_once(close_up[:, ::-1] if mirrored else close_up)
        if mirrored:
            found = [_mirrored(f, CLOSE_UP_SIDE) for f in found]
        found = [Face(f.points / zoom + corner.astype(np.float32), f.points_z / zoom) for f in found]
        best = max(found, key=lambda f: _overlap(f, face), default=None)
        return best if best is not None and _overlap(best, face) > 0.4 else None


_open_detectors: weakref.WeakSet[FaceDetector] = weakref.WeakSet()
_shared: FaceDetector | None = None
_shared_lock = threading.RLock()


def detect_faces(image: np.ndarray) -> list[Face]:
    """All faces of a photo [H,W,3] uint8, largest first, by one detector that the whole process shares."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = FaceDetector()
        return _shared.detect(image)


def close_shared_detector() -> None:
    """Free the detector behind `detect_faces`; the next call makes a new one."""
    global _shared
    with _shared_lock:
        if _shared is not None:
            _shared.close()
            _shared = None


@atexit.register
def _abandon_open_detectors() -> None:
    for detector in list(_open_detectors):
        detector._abandon()


def _create_landmarker() -> tuple[Any, Any]:
    model = find_landmark_model()
    try:
        with _quiet_stderr():
            import mediapipe
            from mediapipe.tasks.python import BaseOptions
            from mediapipe.tasks.python.vision import FaceLandmarker, FaceLandmarkerOptions

            options = FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_buffer=model.read_bytes()), num_faces=MAX_FACES
            )
            return mediapipe, FaceLandmarker.create_from_options(options)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"Finding faces needs mediapipe ({error}). Run 'pip install \"mediapipe>=1.2\"'."
        ) from error
    except OSError as error:
        raise MissingDependencyError(
            f"mediapipe cannot start: a system library is missing ({error}). On Debian and Ubuntu run "
            f"'apt-get install {_SYSTEM_LIBRARIES}' as root; elsewhere install libEGL and libGLESv2."
        ) from error


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keeps what C++ code writes to file descriptor 2 off the terminal for a moment."""
    try:
        saved = os.dup(2)
    except OSError:  # no stderr at all
        yield
        return
    try:
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 2)
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _resized(image: np.ndarray, scale: float) -> np.ndarray:
    height, width = (max(round(length * scale), 1) for length in image.shape[:2])
    if image.shape[:2] == (height, width):
        return image
    pillow = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(pillow.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))


def _square(image: np.ndarray, left: int, top: int, side: int) -> np.ndarray:
    """A square part of the image, black outside."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    square = np.zeros((side, side, 3), np.uint8)
    if x1 > x0 and y1 > y0:
        square[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    return square


def _tile_starts(length: int, side: float) -> list[int]:
    """Tiles that overlap by half."""
    count = max(int(np.ceil(2 * length / side)) - 1, 1)
    return [round(i * (length - side) / (count - 1)) if count > 1 else 0 for i in range(count)]


def _overlap(a: Face, b: Face) -> float:
    """Intersection over union of the boxes."""
    a0, a1, b0, b1 = np.array(a.box[:2]), np.array(a.box[2:]), np.array(b.box[:2]), np.array(b.box[2:])
    both = float(np.prod(np.clip(np.minimum(a1, b1) - np.maximum(a0, b0), 0, None)))
    return both / max(float(np.prod(a1 - a0)) + float(np.prod(b1 - b0)) - both, 1e-9)


def _without_doubles(faces: list[Face]) -> list[Face]:
    kept: list[Face] = []
    for face in sorted(faces, key=lambda f: -f.size):
        if all(_overlap(face, other) < 0.3 for other in kept):
            kept.append(face)
    return kept


def _mirrored(face: Face, width: float) -> Face:
    """The face of the mirrored image of that width, as the same 478 points."""
    points = face.points[mirror_index()] * np.array([-1, 1], np.float32) + np.array([width, 0], np.float32)
    return Face(points, face.points_z[mirror_index()])
