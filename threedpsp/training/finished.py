"""The networks that a joint training has reached, from its small resume point."""

from __future__ import annotations

from pathlib import Path

from ..eg3d.config import GeneratorConfig
from ..eg3d.generator import Generator
from ..encoder.config import EncoderConfig
from ..encoder.encoder import Encoder, build_encoder
from ..errors import InputError
from .checkpoints import RESUME_POINT, SMALL_KIND, read
from .encoders.state import unpack_module


def load_networks(resume_point: Path) -> tuple[Generator, Encoder]:
    """The averaged networks of a joint training's small resume point, in eval mode."""
    if not resume_point.is_file():
        raise InputError(f"{resume_point} does not exist; give the {RESUME_POINT} of a joint training.")
    tensors, facts = read(resume_point, SMALL_KIND)
    tensors = {name: tensor.float() for name, tensor in tensors.items()}
    generator = Generator(GeneratorConfig.tiny_256()).train(False).requires_grad_(False)
    unpack_module("generator", generator, tensors)
    encoder = build_encoder(EncoderConfig.from_dict(facts["encoder"]))  # type: ignore[arg-type]
    unpack_module("encoder", encoder, tensors)
    encoder.latent_avg.copy_(tensors["latent_avg"])
    return generator, encoder.requires_grad_(False)
