"""Meshes to files that 3-D programs open: .glb, .ply, .obj."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MissingDependencyError
from ..output import atomic_write
from ..types import Mesh

FORMATS = (".glb", ".ply", ".obj")

_UNLIT = "KHR_materials_unlit"
_VERTEX_DATA, _INDICES = 34962, 34963  # glTF's numbers for what a buffer view holds


def write_mesh(mesh: Mesh, path: str | Path) -> None:
    """Writes a mesh with its colours, whole or not at all; the suffix decides the format.

    glTF stores linear colours and .ply and .obj those that displays show, so .glb files get the former.

    Args:
        mesh: with or without colours.
        path: .glb, .ply or .obj.

    Raises:
        InputError: another suffix, or a mesh without triangles.
        OutputError: it cannot be written.
        MissingDependencyError: trimesh is missing.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise InputError(f"A mesh is written as {', '.join(FORMATS)}; got '{path.name}'.")
    if not len(mesh.faces):
        raise InputError("The mesh has no triangles; there is nothing to write.")
    data = _encode(mesh, kind.removeprefix("."))
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def _encode(mesh: Mesh, kind: str) -> bytes:
    try:
        import trimesh
        from trimesh.exchange import gltf, obj, ply
    except ImportError as error:
        raise MissingDependencyError(
            "Writing 3-D files needs trimesh, which is missing. Run: pip install trimesh"
        ) from error
    colors = None
    if mesh.colors is not None:
        shown = mesh.colors.double().clamp(0, 1).cpu().numpy()
        colors = (255 * (_linear(shown) if kind == "glb" else shown)).round().astype(np.uint8)
    shape = trimesh.Trimesh(
        mesh.vertices.cpu().numpy(), mesh.faces.cpu().numpy(), vertex_colors=colors, process=False, validate=False
    )
    if kind == "glb":
        return bytes(gltf.export_glb(shape, include_normals=True, tree_postprocessor=_finish_gltf))
    if kind == "ply":
        return bytes(ply.export_ply(shape, vertex_normal=True))
    return str(obj.export_obj(shape, include_normals=True)).encode()


def _finish_gltf(tree: dict[str, Any]) -> None:
    """Shows the colours as they are, for the photo's light is in them; and says what each buffer view holds.

    Without a material of its own a mesh counts as metal, which viewers without surroundings show darker.
    """
    tree["materials"] = [
        {
            "name": "photo colours",
            "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
            "extensions": {_UNLIT: {}},
        }
    ]
    tree["extensionsUsed"] = [_UNLIT]
    for primitive in (primitive for mesh in tree["meshes"] for primitive in mesh["primitives"]):
        primitive["material"] = 0
        for accessor in primitive["attributes"].values():
            tree["bufferViews"][tree["accessors"][accessor]["bufferView"]]["target"] = _VERTEX_DATA
        tree["bufferViews"][tree["accessors"][primitive["indices"]]["bufferView"]]["target"] = _INDICES


def _linear(shown: np.ndarray) -> np.ndarray:
    """SRGB as displays show it -> linear light, [0,1]."""
    return np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
