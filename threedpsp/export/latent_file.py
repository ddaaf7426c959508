"""A whole `Inversion` in one .safetensors file: tensors and JSON, nothing that runs."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..camera import Camera
from ..errors import InputError, ThreeDPSPError, WeightsError
from ..output import atomic_write
from ..types import Inversion, Render, WPlus
from .latent_checks import RENDER_CHANNELS, check_camera, check_shapes, check_size, info_of

FORMAT = "threedpsp-inversion"
VERSION = 1
MAX_TENSORS = 20_000  # a tuned generator has 300, a head 10, and 2 for every step
_RENDER_FIELDS = tuple(RENDER_CHANNELS)


def save_inversion(path: str | Path, inversion: Inversion, *, include_steps: bool = True) -> None:
    """Writes latent, camera, render, steps, tuned weights (as float16) and `info`, whole or not at all.

    include_steps: also the ws and the image after each encoder step (images as float16).

    Raises:
        OutputError: it cannot be written.
    """
    tensors = {
        "ws": inversion.latent.ws,
        "camera/cam2world": inversion.camera.cam2world,
        "camera/intrinsics": inversion.camera.intrinsics,
    }
    if inversion.plane_offset is not None:
        tensors["plane_offset"] = inversion.plane_offset.half()
    if inversion.render is not None:
        tensors |= {f"render/{name}": vars(inversion.render)[name].half() for name in _RENDER_FIELDS}
    for index, (ws, image) in enumerate(inversion.steps if include_steps else ()):
        tensors |= {f"steps/{index}/ws": ws, f"steps/{index}/image": image.half()}
    tensors |= {f"delta/{name}": value.half() for name, value in (inversion.generator_delta or {}).items()}
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "generator": inversion.latent.generator,
        "info": json.dumps(inversion.info),
    }
    # Copies, because the format refuses tensors that share memory (the last step's ws is the latent's).
    own = {name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    data = save(own, metadata)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def load_inversion(path: str | Path) -> Inversion:
    """Reads what `save_inversion` wrote, on the CPU and in float32.

    Raises:
        InputError: no such file.
        WeightsError: not an inversion file, a newer format, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no latent file {path}. `threedpsp invert PHOTO -o DIR` writes one.")
    try:
        check_size(path)
        tensors, metadata = _read(path)
        return _inversion(tensors, metadata)
    except MemoryError as error:
        raise WeightsError(f"{path}: there is not enough memory to read it. Close other programs.") from error
    except (SafetensorError, LookupError, ValueError, OSError, RuntimeError, ArithmeticError) as error:
        raise WeightsError(f"{path} is damaged or not a latent file ({error}). Write it again with invert.") from error
    except ThreeDPSPError as error:
        raise WeightsError(f"{path}: {error}") from error


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors (floating point ones as float32) and the metadata."""
    with safe_open(str(path), framework="pt") as file:
        metadata = dict(file.metadata() or {})
        if metadata.get("format") != FORMAT:
            raise WeightsError(f"This is not a latent file (its format is {metadata.get('format', 'not given')!r}).")
        version = metadata.get("version", "")
        if not (version.isascii() and version.isdecimal() and len(version) < 10):
            raise WeightsError("It is damaged: the version of its format is no number.")
        if int(version) > VERSION:
            raise WeightsError(
                f"Its format has version {version}; this program reads up to {VERSION}. Update threedpsp."
            )
        names = file.keys()
        if len(names) > MAX_TENSORS:
            raise WeightsError(f"It has {len(names):,} tensors; no latent file has more than {MAX_TENSORS:,}.")
        slices = {name: file.get_slice(name) for name in names}
        check_shapes(
            {name: tuple(part.get_shape()) for name, part in slices.items()},
            {name: part.get_dtype() for name, part in slices.items()},
        )
        tensors = {name: file.get_tensor(name).float() for name in names}
    if broken := [name for name, value in tensors.items() if not torch.isfinite(value).all()]:
        raise WeightsError(f"Values that are not numbers in {', '.join(broken[:3])}.")
    return tensors, metadata


def _inversion(tensors: dict[str, Tensor], metadata: dict[str, str]) -> Inversion:
    """The value, from the file's parts."""
    check_camera(tensors["camera/cam2world"], tensors["camera/intrinsics"])
    render = Render(*(tensors[f"render/{name}"] for name in _RENDER_FIELDS)) if "render/image" in tensors else None
    count = sum(name.startswith("steps/") and name.endswith("/ws") for name in tensors)
    delta = {name.removeprefix("delta/"): value for name, value in tensors.items() if name.startswith("delta/")}
    return Inversion(
        latent=WPlus(tensors["ws"], metadata.get("generator", "")),
        camera=Camera(tensors["camera/cam2world"], tensors["camera/intrinsics"]),
        render=render,
        steps=tuple((tensors[f"steps/{i}/ws"], tensors[f"steps/{i}/image"]) for i in range(count)),
        plane_offset=tensors.get("plane_offset"),
        generator_delta=delta or None,
        info=info_of(metadata.get("info", "{}")),
    )
