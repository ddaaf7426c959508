"""Photos of people and their masks -> a bundle of `PortraitSet`."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..camera import Camera
from ..errors import InputError, ThreeDPSPError
from ..preprocessing.align import apply_affine, crop_face, five_points
from ..preprocessing.landmark_model import canonical_face, mirror_index
from ..preprocessing.landmarks import Face, detect_faces
from ..preprocessing.photo import load_photo
from ..preprocessing.pose import canonical_in_world, estimate_camera
from .mesh_paint import MAP_SIDE, depth_maps
from .portraits import LARGE_SIDE, QUALITY, SIDE, PortraitSet, resized

log = logging.getLogger(__name__)

MESH_POINTS = 468  # MediaPipe's points without the irises
_ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class PortraitPhoto:
    """What a photo says of a person, by the names of `PortraitSet`; the picture is larger where the photo is."""

    name: str
    picture: np.ndarray
    mask: np.ndarray
    camera: Camera
    landmarks: np.ndarray
    mesh: np.ndarray
    source_side: float


def lift_mesh(face: Face, points: np.ndarray, scale: float, camera: Camera) -> np.ndarray:
    """The face's own mesh in the world: pixels of the crop, depth from MediaPipe fitted to the canonical face.

    Args:
        face: as detected, in source pixels.
        points: [478,2] in crop pixels divided by the crop's side.
        scale: crop sides per source pixel.
        camera: of the crop.

    Returns:
        [468,3] in world units.
    """
    matrix, intrinsics = camera.cam2world[0].double().numpy(), camera.intrinsics[0].double().numpy()
    rotation, position = matrix[:3, :3], matrix[:3, 3]
    canonical = (canonical_in_world() - position) @ rotation  # camera coordinates
    middle = canonical[:, 2].mean()
    relative = face.points_z[:MESH_POINTS].astype(np.float64) * scale * middle / intrinsics[0, 0]
    relative -= relative.mean()
    slope = (relative @ (canonical[:, 2] - middle)) / (relative @ relative)  # MediaPipe's depth has no unit of its own
    z = middle + slope * relative
    xy = (points[:MESH_POINTS] - intrinsics[:2, 2]) / intrinsics[0, 0] * z[:, None]
    return np.concatenate([xy, z[:, None]], 1) @ rotation.T + position


def read_portrait(photo: Path, mask: Path, name: str, large_side: int = LARGE_SIDE) -> PortraitPhoto:
    """All that is known of one photo; its largest face counts.

    Raises:
        InputError: photo or mask cannot be read, or there is no face.
    """
    image = load_photo(photo).image
    faces = detect_faces(image)
    if not faces:
        raise InputError("no face found.")
    face = faces[0]
    five = five_points(face.points)
    picture, source_to_crop = crop_face(image, five, large_side, "mirror")
    source_side = large_side / source_to_crop[0, 0]
    if source_side < large_side:
        picture = crop_face(image, five, SIDE, "mirror")[0]
    cut_mask = crop_face(load_photo(mask).image, five, MAP_SIDE, "mirror")[0][..., 0]
    points = apply_affine(source_to_crop, face.points) / large_side
    camera = estimate_camera(points[None])
    mesh = lift_mesh(face, points, 1 / source_side, camera)
    return PortraitPhoto(name, picture, cut_mask, camera, points * SIDE, mesh, source_side)


def build(
    photos: tuple[Path, ...],
    masks: tuple[Path, ...],
    output: Path,
    quality: int = QUALITY,
    large_side: int = LARGE_SIDE,
) -> None:
    """Read all photos of some folders into one file; photos that cannot be used are reported and left out.

    Args:
        photos: folders of portraits. Each person is called after folder and file, as far as the folders differ.
        masks: for each of them the folder of its person masks; segment_people.py makes them.
        output: .safetensors to write.
        quality: of the stored pictures as WebP, 1 to 100.
        large_side: of the stored pictures of people whose photos are that large; of others it is 256.
    """
    if len(photos) != len(masks):
        raise InputError(f"Each folder of photos needs one of masks; got {len(photos)} and {len(masks)}.")
    people: list[PortraitPhoto] = []
    for folder, mask_folder, prefix in zip(photos, masks, folder_names(photos), strict=True):
        for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in _ENDINGS):
            name = f"{prefix}/{path.stem}"
            try:
                people.append(read_portrait(path, mask_folder / f"{path.stem}.png", name, large_side))
            except ThreeDPSPError as error:
                log.warning("left out %s: %s", name, error)
    if not people:
        raise InputError(f"No usable photo in {', '.join(map(str, photos))}.")
    portrait_set(people).save(output, [person.picture for person in people], quality)
    log.info("%d people -> %s, %.1f MiB", len(people), output, output.stat().st_size / 2**20)


def folder_names(folders: Sequence[Path]) -> list[str]:
    """A short name for each folder: its place below what all of them share."""
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError("A folder of photos is named twice; name each once.")
    shared = Path(os.path.commonpath([folder.resolve().parent for folder in folders]))
    return [folder.resolve().relative_to(shared).as_posix() for folder in folders]


def portrait_set(people: Sequence[PortraitPhoto]) -> PortraitSet:
    """Some people as a set."""
    landmarks, mesh = _stack([p.landmarks for p in people]), _stack([p.mesh for p in people])
    camera, triangles = Camera.cat([p.camera for p in people]), torch.from_numpy(canonical_face().triangles)
    return PortraitSet(
        image=torch.stack([torch.from_numpy(resized(p.picture, SIDE)).permute(2, 0, 1) for p in people]),
        mask=torch.stack([torch.from_numpy(p.mask.copy()) for p in people]),
        label=camera.label,
        landmarks=landmarks,
        mesh=mesh,
        depth=depth_maps(landmarks / SIDE, mesh, camera, triangles),
        source_side=torch.tensor([p.source_side for p in people], dtype=torch.float32),
        names=tuple(p.name for p in people),
        mirror_points=torch.from_numpy(mirror_index()),
        triangles=triangles,
    )


def _stack(arrays: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).float()
