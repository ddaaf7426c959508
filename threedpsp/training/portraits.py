"""Portraits -> what the tiny generator learns from: crops, cameras, person masks, face meshes and their depth."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import torch
import tyro
from safetensors.torch import load_file, save_file
from scipy.interpolate import LinearNDInterpolator

from ..camera import Camera
from ..errors import InputError, ThreeDPSPError
from ..preprocessing.align import apply_affine, crop_face, five_points
from ..preprocessing.landmarks import Face, detect_faces
from ..preprocessing.photo import load_photo
from ..preprocessing.pose import canonical_in_world, estimate_camera

log = logging.getLogger(__name__)

SIDE = 256  # of the stored crops; the source faces are not larger
MAP_SIDE = 128  # of masks and depth
MESH_POINTS = 468  # MediaPipe's points without the irises


@dataclasses.dataclass(frozen=True)
class PortraitSet:
    """N portraits.

    image: uint8 [N,3,256,256], the photo, mirrored beyond its edges.
    mask: uint8 [N,128,128], 255 where the person is.
    label: [N,25], the camera of the photo.
    landmarks: [N,478,2], the points on the face, in pixels of the image.
    mesh: [N,468,3], the surface of the face, in units of the world.
    depth: float16 [N,128,128], the distance along the ray to the mesh, and 0 where the mesh is not met.
    names: the names of the files without their endings.
    """

    image: torch.Tensor
    mask: torch.Tensor
    label: torch.Tensor
    landmarks: torch.Tensor
    mesh: torch.Tensor
    depth: torch.Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: list[int]) -> PortraitSet:
        """Some of them."""
        tensors = {k: v[index] for k, v in vars(self).items() if k != "names"}
        return PortraitSet(**tensors, names=tuple(self.names[i] for i in index))

    def save(self, path: Path) -> None:
        """One .safetensors; names in its metadata."""
        tensors = {k: v.contiguous() for k, v in vars(self).items() if k != "names"}
        save_file({**tensors, "names": _encode_names(self.names)}, path)

    @staticmethod
    def load(path: Path) -> PortraitSet:
        """What `save` wrote."""
        if not path.is_file():
            raise InputError(f"{path} does not exist. Make it with: python -m threedpsp.training.portraits")
        tensors = load_file(path)
        names = bytes(tensors.pop("names").tolist()).decode().split("\n")
        return PortraitSet(**tensors, names=tuple(names))


def _encode_names(names: tuple[str, ...]) -> torch.Tensor:
    return torch.tensor(list("\n".join(names).encode()), dtype=torch.uint8)


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


def depth_map(points: np.ndarray, mesh: np.ndarray, camera: Camera) -> np.ndarray:
    """Distance along the ray to the mesh, [128,128] float16, 0 outside the face; points [468,2] in crop sides."""
    distance = np.linalg.norm(mesh - camera.position[0].numpy(), axis=1)
    centres = (np.arange(MAP_SIDE) + 0.5) / MAP_SIDE
    x, y = np.meshgrid(centres, centres)
    return np.nan_to_num(LinearNDInterpolator(points[:MESH_POINTS], distance)(x, y)).astype(np.float16)


def read_portrait(photo: Path, masks: Path) -> dict[str, np.ndarray]:
    """All maps of one photo, by `PortraitSet`'s names."""
    image = load_photo(photo).image
    face = detect_faces(image)[0]
    five = five_points(face.points)
    crop, source_to_crop = crop_face(image, five, SIDE, "mirror")
    mask = np.asarray(load_photo(masks / f"{photo.stem}.png").image)
    mask = crop_face(mask, five, MAP_SIDE, "mirror")[0][..., 0]
    pixels = apply_affine(source_to_crop, face.points)
    points = pixels / SIDE
    camera = estimate_camera(points[None])
    mesh = lift_mesh(face, points, source_to_crop[0, 0] / SIDE, camera)
    return {
        "image": crop.transpose(2, 0, 1),
        "mask": mask,
        "label": camera.label[0].numpy(),
        "landmarks": pixels.astype(np.float32),
        "mesh": mesh.astype(np.float32),
        "depth": depth_map(points, mesh, camera),
    }


def build(photos: Path, masks: Path, output: Path) -> None:
    """Read every photo of a folder; photos that cannot be used are reported and left out.

    Args:
        photos: folder of portraits.
        masks: folder of person masks, see `segment_people.py`.
        output: .safetensors to write.
    """
    rows: list[dict[str, np.ndarray]] = []
    names: list[str] = []
    for path in sorted(p for p in photos.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"}):
        try:
            rows.append(read_portrait(path, masks))
            names.append(path.stem)
        except (ThreeDPSPError, IndexError) as error:
            log.warning("left out %s: %s", path.name, error)
    if not rows:
        raise InputError(f"No usable portrait in {photos}.")
    stacked = {k: torch.from_numpy(np.stack([row[k] for row in rows])) for k in rows[0]}
    PortraitSet(**stacked, names=tuple(names)).save(output)
    log.info("%d portraits -> %s", len(names), output)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tyro.cli(build, description=__doc__)
