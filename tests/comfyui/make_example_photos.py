"""Makes nodes/example_photos: NASA's portrait from scikit-image, and heads of nobody by seed from the embedded model.

python -m tests.comfyui.make_example_photos
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from skimage import data

from threedpsp import Camera, load_generator
from threedpsp.export.images import to_uint8
from threedpsp.sampling import random_head

FOLDER = Path(__file__).parents[2] / "nodes" / "example_photos"
SIDE = 512
FACES = {4: 12.0, 8: -8.0, 34: 5.0}  # seed and yaw in degrees


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    _save(Image.fromarray(data.astronaut()), "threedpsp_astronaut.jpg")
    generator = load_generator("tiny", device="cpu")
    for seed, yaw in FACES.items():
        head = random_head(generator, seed, truncation=0.8)
        with torch.no_grad():
            image = generator.synthesis(head.latent.ws, Camera.orbit(yaw)).image
        picture = Image.fromarray(to_uint8(image)[0])
        _save(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), f"threedpsp_face_{seed}.jpg")


def _save(picture: Image.Image, name: str) -> None:
    picture.save(FOLDER / name, quality=92)
    print(FOLDER / name)


if __name__ == "__main__":
    main()
