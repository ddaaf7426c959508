"""A folder with a small random model in the format of the embedded one, for tests of everything around it."""

from __future__ import annotations

from pathlib import Path

from tests.core.small_networks import ENCODER, small_generator
from threedpsp.encoder.encoder import build_encoder
from threedpsp.weights.load import save_encoder, save_generator


def save_small_model(folder: Path) -> Path:
    """Writes generator.safetensors and encoder.safetensors; returns the folder."""
    generator = small_generator()
    save_generator(generator, folder / "generator.safetensors")
    encoder = build_encoder(ENCODER)
    encoder.generator_fingerprint = generator.fingerprint
    save_encoder(encoder, folder / "encoder.safetensors")
    return folder
