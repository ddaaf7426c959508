"""EG3D's generator: mapping, planes, raw image, depth, final image; from drawn weights or from a network file."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import torch

from eg3d_kernels import Implementation
from threedpsp.camera import Camera
from threedpsp.eg3d.config import GeneratorConfig, RenderConfig
from threedpsp.eg3d.generator import Generator
from threedpsp.eg3d.published import published_config

from .case import Case, CaseError, drawn_weights, read_case
from .measure import Measured, compare

# float32 sums in another order: convolutions scale what goes in and out instead of the weights. The worst seen are 9e-7
# (ws), 3e-6 (planes) and 4e-6 (images); an independent implementation reached equality and 1e-6; small mistakes cost
# 5e-5 and more.
TOLERANCES = {
    "ws": 1e-5,
    "planes": 1e-5,
    "image_raw": 3e-5,
    "image_depth": 3e-5,
    "image": 3e-5,
}
INPUTS = ("z", "ws", "camera", "conditioning_camera", "jitter", "u")


def run(case: Case, implementation: Implementation) -> list[Measured]:
    """Everything from ws to the image; ws are given, or mapped from z."""
    generator = build(case, implementation)
    side = generator.config.neural_rendering_resolution
    noise_mode = case.text("noise_mode", "const")
    if noise_mode not in ("const", "none"):
        raise CaseError(f"noise_mode {noise_mode!r} cannot be repeated; const and none can")
    outputs = {}
    with torch.no_grad():
        if case.metadata.get("ws", "").startswith("given") or "z" not in case.tensors:
            ws = case.tensor("ws")
        else:
            cutoff = case.text("truncation_cutoff", "None")
            ws = generator.mapping(
                case.tensor("z"),
                Camera.from_label(case.tensor("conditioning_camera")),
                case.number("truncation_psi", 1.0),
                None if cutoff == "None" else int(cutoff),
            )
            outputs["ws"] = ws
        planes = generator.planes(ws, "const" if noise_mode == "const" else "none")
        outputs["planes"] = planes.features.permute(0, 1, 4, 2, 3).flatten(1, 2)
        camera = Camera.from_label(case.tensor("camera"))
        n = max(len(camera), len(planes))
        jitter, u = (case.tensors.get(name) for name in ("jitter", "u"))
        render = generator.render(
            planes,
            ws,
            camera,
            jitter=None if jitter is None else jitter.reshape(n, side * side, -1),
            u=None if u is None else u.reshape(n, side * side, -1),
        )
    outputs |= {"image_raw": render.image_raw, "image_depth": render.image_depth, "image": render.image}
    return compare(case, outputs, TOLERANCES)


def build(case: Case, implementation: Implementation) -> Generator:
    """The case's generator, rendering by one implementation."""
    pickle = case.companion("pickle", ".pkl")
    if pickle is not None:
        return from_network_file(pickle, implementation)
    config = recorded_config(case)
    return assembled(config, case.weights(), implementation)


def recorded_config(case: Case) -> GeneratorConfig:
    """Our config for the settings in a case's metadata."""
    return published_config(
        case.json("generator"),
        case.json("rendering_kwargs"),
        case.integer("neural_rendering_resolution", 64),
        depth_clamp="batch",
    )


def for_manifest(manifest: Path, side: int, implementation: Implementation) -> Generator:
    """The generator of a manifest: configured by the case of the same name beside it, else as ffhq512-128."""
    weights = drawn_weights(manifest)
    beside = manifest.with_name(manifest.name.replace(".weights.json", ".safetensors"))
    if beside.is_file() and "generator" in (recorded := read_case(beside)).metadata:
        config = recorded_config(recorded)
    else:
        config = dataclasses.replace(
            GeneratorConfig.ffhq512_128(), channel_max=weights["backbone.synthesis.b4.const"].shape[0]
        )
    config = dataclasses.replace(config, neural_rendering_resolution=side)
    return assembled(config, weights, implementation)


def from_network_file(path: Path, implementation: Implementation) -> Generator:
    """What a published .pkl holds, through our safe reader."""
    from threedpsp.weights.recognise import recognise

    found = recognise(path)
    if found.kind != "eg3d-generator" or found.problems:
        raise CaseError(f"{path.name} was read as {found.what}; problems: {'; '.join(found.problems) or 'none'}")
    return assembled(GeneratorConfig.from_dict(found.config), found.tensors, implementation)


def assembled(
    config: GeneratorConfig, weights: Mapping[str, torch.Tensor], implementation: Implementation
) -> Generator:
    """A generator that clamps depth as the published one does and renders by one implementation."""
    rendering: RenderConfig = dataclasses.replace(config.rendering, depth_clamp="batch")
    generator = Generator(dataclasses.replace(config, rendering=rendering)).eval().requires_grad_(False)
    generator.load_state_dict(weights)
    generator.render = functools.partial(generator.render, implementation=implementation)
    return generator
