"""Makes the help pages' pictures of results, from the embedded model and the example photos.

`python -m tests.nodes.make_help_pictures`. Pictures that show a node itself come from the browser tests.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import threedpsp
from tests.nodes.comfy_stand_in.install import PACK
from threedpsp import Inversion, Pipeline

PHOTOS = PACK / "nodes" / "example_photos"
IMAGES = PACK / "web" / "docs" / "images"
SIDE = 256
LIMIT = 60_000  # bytes


def strip(*images: Tensor) -> Tensor:
    """Pictures [N,3,H,W] in [-1,1] of any sizes, each scaled to the same height and set side by side: [3,H,W]."""
    scaled = [
        torch.nn.functional.interpolate(image, (SIDE, SIDE * image.shape[3] // image.shape[2]), mode="area")
        for image in images
    ]
    return torch.cat([part for image in scaled for part in image], dim=-1)


def save(name: str, picture: Tensor) -> None:
    """Writes a picture [3,H,W] in [-1,1] as a small JPEG."""
    pixels = picture.detach().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    write(name, Image.fromarray(pixels))


def write(name: str, image: Image.Image) -> None:
    path = IMAGES / f"ThreeDpSp{name}.jpg"
    for quality in (90, 80, 70, 60):
        image.save(path, quality=quality, optimize=True)
        if path.stat().st_size < LIMIT:
            return
    raise ValueError(f"{path} is larger than {LIMIT} bytes")


def grey(values: Tensor) -> Tensor:
    """[N,1,H,W] in [0,1] -> [N,3,H,W] in [-1,1]."""
    return values.float().clamp(0, 1).mul(2).sub(1).expand(-1, 3, -1, -1)


def photo(path: Path) -> Tensor:
    """A photo, padded to a square: [1,3,H,W] in [-1,1]."""
    pixels = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy())
    image = pixels.permute(2, 0, 1)[None].float().div(127.5).sub(1)
    side = max(image.shape[2:])
    padded = image.new_ones(1, 3, side, side)
    padded[..., (side - image.shape[2]) // 2 :, :][..., : image.shape[2], : image.shape[3]] = image
    return padded


def mesh_views(pipeline: Pipeline, head: Inversion) -> Tensor:
    """The mesh's vertices drawn as points from three sides, as a viewer shows it: [3,3,H,W] in [-1,1]."""
    mesh = threedpsp.extract_mesh(pipeline.generator, head, resolution=256)
    vertices, colours = mesh.vertices, mesh.colors
    if colours is None:
        raise ValueError("the mesh has no colours")
    views = []
    for degrees in (-35.0, 0.0, 35.0):
        angle = torch.deg2rad(torch.tensor(degrees))
        x = vertices[:, 0] * angle.cos() + vertices[:, 2] * angle.sin()
        depth = vertices[:, 2] * angle.cos() - vertices[:, 0] * angle.sin()
        reach = 1.1 * float(vertices[:, :2].abs().max())
        column = ((x / reach + 1) / 2 * (SIDE - 1)).round().long().clamp(0, SIDE - 1)
        row = ((1 - vertices[:, 1] / reach) / 2 * (SIDE - 1)).round().long().clamp(0, SIDE - 1)
        view = torch.ones(3, SIDE, SIDE)
        order = depth.argsort()  # the nearest last, so that it stays
        for index in order.split(len(order) // 64 + 1):
            for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):  # two pixels wide, so that no gaps stay
                pixel = (row[index] + down).clamp(max=SIDE - 1), (column[index] + right).clamp(max=SIDE - 1)
                view[:, pixel[0], pixel[1]] = colours[index].T.mul(2).sub(1)
        views.append(view)
    return torch.stack(views)


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    pipeline = threedpsp.load("tiny")
    astronaut, other = PHOTOS / "threedpsp_astronaut.jpg", PHOTOS / "threedpsp_face_8.jpg"
    crop = threedpsp.align([astronaut, other])
    save("Align", strip(photo(astronaut), crop.image[:1], photo(other), crop.image[1:]))
    posed = threedpsp.estimate_pose(crop, "mediapipe")
    save("EstimatePose", strip(threedpsp.pose_overlay(posed)))
    mapped = threedpsp.estimate_confidence(posed, "builtin")
    confidence = grey(threedpsp.confidence_on_photo(mapped)[:1, None])
    save("ConfidenceMap", strip(mapped.image[:1], confidence, threedpsp.confidence_heat(mapped)[:1]))

    heads = pipeline.invert(mapped).split()
    drawn = threedpsp.own_views(pipeline, heads)
    save("Encode", strip(crop.image[:1], drawn[:1], crop.image[1:], drawn[1:]))
    refined = pipeline.refine(heads[0], mapped[0], threedpsp.RefineConfig(steps=150))
    better = threedpsp.own_views(pipeline, [refined])
    save("Refine", strip(crop.image[:1], drawn[:1], better))
    save("Evaluate", strip(threedpsp.compare(mapped, drawn).side_by_side))

    path = threedpsp.camera_path("swing", 5, refined.camera)
    save("CameraPath", strip(threedpsp.render_views(pipeline.generator, [refined], path).image))
    views = threedpsp.render_views(
        pipeline.generator, [refined], threedpsp.camera_path("swing", 4, refined.camera)[1:2]
    )
    save("RenderViews", strip(views.image, grey(views.depth), views.normals, grey(views.opacity)))
    blends = [threedpsp.blend(heads[0], heads[1], amount) for amount in (0.0, 0.25, 0.5, 0.75, 1.0)]
    save("BlendLatents", strip(threedpsp.own_views(pipeline, blends)))
    people = [threedpsp.random_head(pipeline.generator, seed, truncation=0.7) for seed in range(5)]
    save("RandomHead", strip(threedpsp.own_views(pipeline, people)))
    save("ExtractMesh", strip(mesh_views(pipeline, refined)))


if __name__ == "__main__":
    main()
