"""The people that the tiny generator learns from: pictures, cameras, person masks, face meshes and their depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ..camera import Camera
from ..errors import InputError
from ..output import atomic_write
from .mesh_paint import MAP_SIDE, depth_maps
from .picture_blob import pack_pictures, unpack_pictures

SIDE = 256  # of the pictures in memory
LARGE_SIDE = 384  # of those that a bundle holds of people whose photos are that large
QUALITY = 86  # of the pictures of a bundle, as WebP


@dataclasses.dataclass(frozen=True)
class PortraitSet:
    """N people.

    image: uint8 [N,3,256,256], the photo, mirrored beyond its edges.
    mask: uint8 [N,128,128], 255 where the person is.
    label: [N,25], the camera of the photo.
    landmarks: [N,478,2], the points on the face, in pixels of the image.
    mesh: [N,468,3], the surface of the face, in units of the world.
    depth: float16 [N,128,128], the distance along the ray to the mesh, and 0 where the mesh is not met.
    source_side: [N], the pixels of the photo that a side of the image spans.
    names: the folder and the name of each photo.
    mirror_points: [478], which landmark of a mirrored face each landmark is.
    triangles: [T,3], the numbers of the mesh's points at their corners.
    """

    image: torch.Tensor
    mask: torch.Tensor
    label: torch.Tensor
    landmarks: torch.Tensor
    mesh: torch.Tensor
    depth: torch.Tensor
    source_side: torch.Tensor
    names: tuple[str, ...]
    mirror_points: torch.Tensor
    triangles: torch.Tensor

    def __len__(self) -> int:
        return len(self.names)

    @property
    def large(self) -> torch.Tensor:
        """Bool [N]: whether the image shows true detail at all its 256 pixels a side."""
        return self.source_side >= SIDE * 1.25

    @property
    def camera(self) -> Camera:
        """The cameras of the photos."""
        return Camera.from_label(self.label)

    def take(self, index: list[int]) -> PortraitSet:
        """Some of them."""
        of_all = {"names", "mirror_points", "triangles"}
        tensors = {k: v[index] for k, v in vars(self).items() if k not in of_all}
        names = tuple(self.names[i] for i in index)
        return dataclasses.replace(self, **tensors, names=names)

    @staticmethod
    def cat(sets: Sequence[PortraitSet]) -> PortraitSet:
        """Several sets, one after another."""
        shared = {"mirror_points": sets[0].mirror_points, "triangles": sets[0].triangles}
        fields = [field.name for field in dataclasses.fields(PortraitSet) if field.name not in {"names", *shared}]
        tensors = {k: torch.cat([vars(s)[k] for s in sets]) for k in fields}
        return PortraitSet(**tensors, **shared, names=tuple(name for s in sets for name in s.names))

    def save(self, path: Path, pictures: Sequence[np.ndarray] | None = None, quality: int = QUALITY) -> None:
        """Write a bundle: one .safetensors with encoded pictures and masks, and tensors for the rest.

        Landmarks keep their place within .04 pixels, meshes within .0002 units; depth is left out.

        Args:
            path: of the file.
            pictures: uint8 [h,h,3] to store instead of the images, for instance larger ones.
            quality: of the pictures as WebP, 1 to 100; masks lose nothing.
        """
        pictures = list(self.image.permute(0, 2, 3, 1).numpy()) if pictures is None else pictures
        tensors = dict(zip(("picture_data", "picture_ends"), pack_pictures(pictures, quality), strict=True))
        masks = pack_pictures(list(self.mask.numpy()), None)
        tensors |= dict(zip(("mask_data", "mask_ends"), masks, strict=True))
        tensors |= {
            "label": self.label,
            "landmarks": (self.landmarks - SIDE / 2).half(),
            "mesh": self.mesh.half(),
            "source_side": self.source_side,
            "mirror_points": self.mirror_points.short(),
            "triangles": self.triangles.short(),
            "names": torch.tensor(list("\n".join(self.names).encode()), dtype=torch.uint8),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)

    @staticmethod
    def load(path: Path, side: int = SIDE) -> PortraitSet:
        """Read a bundle.

        Args:
            path: what `save` wrote.
            side: of the images, where it shall be another than 256; landmarks stay in pixels of 256.
        """
        if not path.is_file():
            raise InputError(f"{path} does not exist. Make it with: python -m threedpsp.training.portraits")
        tensors = load_file(path)
        if "picture_data" not in tensors:
            raise InputError(
                f"{path} is no bundle of people (it has no pictures inside). "
                "Make it anew with: python -m threedpsp.training.portraits"
            )
        return _from_tensors(tensors, side)


def _from_tensors(tensors: dict[str, torch.Tensor], side: int) -> PortraitSet:
    count = len(tensors["label"])
    image = torch.empty(count, 3, side, side, dtype=torch.uint8)
    mask = torch.empty(count, MAP_SIDE, MAP_SIDE, dtype=torch.uint8)
    for i, picture in enumerate(unpack_pictures(tensors["picture_data"], tensors["picture_ends"])):
        image[i] = torch.from_numpy(resized(picture, side)).permute(2, 0, 1)
    for i, picture in enumerate(unpack_pictures(tensors["mask_data"], tensors["mask_ends"])):
        mask[i] = torch.from_numpy(picture[..., 0].copy())
    landmarks, mesh = tensors["landmarks"].float() + SIDE / 2, tensors["mesh"].float()
    camera, triangles = Camera.from_label(tensors["label"]), tensors["triangles"].long()
    return PortraitSet(
        image,
        mask,
        tensors["label"],
        landmarks,
        mesh,
        depth_maps(landmarks / SIDE, mesh, camera, triangles),
        tensors["source_side"],
        tuple(bytes(tensors["names"].tolist()).decode().split("\n")),
        tensors["mirror_points"].long(),
        triangles,
    )


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    """uint8 [h,h,3] -> [side,side,3], writable."""
    if picture.shape[0] == side:
        return picture.copy()
    return np.array(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    import logging

    import tyro

    from .read_portraits import build

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tyro.cli(build)
