"""A folder with a small generator and encoders of three systems, and photos that need no detector."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.core.small_model import save_small_model
from tests.core.small_networks import ENCODER, small_generator
from tests.core.test_preprocessing_pose import mean_face_seen_by
from threedpsp.camera import Camera
from threedpsp.encoder.encoder import build_encoder
from threedpsp.errors import NoFaceError
from threedpsp.types import FaceCrop
from threedpsp.weights.load import save_encoder

SIDE = 64
PSP = dataclasses.replace(ENCODER, input_channels=3, camera_features=0)
E4E = dataclasses.replace(PSP, row_deltas=True, shared_heads=False)


def save_models(folder: Path) -> Path:
    """generator, encoder (3D-pSp), psp and e4e; psp-1 and psp-2 are other seeds of pSp."""
    save_small_model(folder)
    fingerprint = small_generator().fingerprint
    configs = {"psp": PSP, "e4e": E4E, "psp-1": PSP, "psp-2": PSP}
    for seed, (name, config) in enumerate(configs.items()):
        torch.manual_seed(seed)
        encoder = build_encoder(config)
        encoder.generator_fingerprint = fingerprint
        save_encoder(encoder, folder / f"{name}.safetensors")
    return folder


def save_photos(folder: Path, names: tuple[str, ...] = ("anna.png", "bert.png", "cleo.png")) -> Path:
    """Pictures of a few colours."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(names):
        colours = np.random.default_rng(seed).integers(0, 255, (2, 2, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(folder / name)
    return folder


def found_points() -> torch.Tensor:
    """Landmarks that a stand-in for the detector finds everywhere, in pixels of the small generator's pictures."""
    return torch.from_numpy(mean_face_seen_by(Camera.orbit(0.0))) * SIDE


def stand_in_crop(photo: Path) -> FaceCrop:
    """The picture as an aligned photo with landmarks; one called "noface..." is none."""
    if photo.name.startswith("noface"):
        raise NoFaceError("No face found in the photo. Use another.")
    pixels = torch.from_numpy(np.array(Image.open(photo).convert("RGB")))
    image = pixels.permute(2, 0, 1)[None].float() / 127.5 - 1
    return FaceCrop(image, Camera.orbit(5.0), landmarks=found_points().float())
