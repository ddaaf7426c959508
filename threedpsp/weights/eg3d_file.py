"""EG3D's .pkl -> a generator's weights and configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ..eg3d.config import GeneratorConfig, PlaneAxes
from ..eg3d.generator import Generator
from ..eg3d.published import published_config
from ..errors import WeightsError
from .limits import config_from_file, plain_settings
from .recognised import Recognised, shapes_of, usable
from .tensor_refs import TensorRef
from .unpickle import PickledNetwork, PickledTensors, read_network

CLASS_NAME = "TriPlaneGenerator"
_DERIVED = "resample_filter"  # a constant that every layer stores
_SIZES = ("z_dim", "c_dim", "w_dim", "img_resolution", "neural_rendering_resolution")
_DEFAULT_SIDE = 64  # neural_rendering_resolution of the class itself, which such files leave out
_AXES: dict[tuple[tuple[float, ...], ...], PlaneAxes] = {
    ((0, 0, 1), (1, 0, 0)): "xy_xz_zx",
    ((0, 0, 1), (0, 1, 0)): "xy_xz_zy",
}
"""The third plane's axes, as the file's renderer holds them."""


def recognise_eg3d(path: Path) -> Recognised:
    """The generator (G_ema) of an EG3D pickle.

    Raises:
        WeightsError: damaged, hostile, or not an EG3D generator; the message does not name the file.
    """
    network = read_network(path)
    if network.class_name != CLASS_NAME:
        raise WeightsError(f"its network is a {network.class_name[:40]}, not EG3D's {CLASS_NAME}.")
    reader = PickledTensors(path)
    config = generator_config(network, reader)
    references = {n: t for n, t in network.named_tensors() if n.rpartition(".")[2] != _DERIVED}
    tensors, problems = usable(
        shapes_of(lambda: Generator(config)),
        {name: tensor.shape for name, tensor in references.items()},
        lambda name: reader.read(references[name]),
        path.stat().st_size,
    )
    what = (
        f"an EG3D generator: {config.img_resolution} pixels from {config.neural_rendering_resolution}, "
        f"{config.num_ws} x {config.w_dim} latents"
    )
    return Recognised("eg3d-generator", what, tensors, config.to_dict(), {"format": "EG3D pickle, G_ema"}, problems)


def generator_config(network: PickledNetwork, reader: PickledTensors) -> GeneratorConfig:
    """The configuration that the file's settings describe.

    Raises:
        WeightsError: settings are missing or impossible.
    """
    attributes = network.attributes
    init = _settings(attributes.get("_init_kwargs"), "init_kwargs")
    rendering = _settings(attributes.get("rendering_kwargs", init.get("rendering_kwargs")), "rendering_kwargs")
    sizes = plain_settings({name: attributes[name] for name in _SIZES if name in attributes}, "sizes")

    def build() -> GeneratorConfig:
        made = published_config({**init, **sizes}, rendering, sizes.get("neural_rendering_resolution", _DEFAULT_SIDE))
        return GeneratorConfig.from_dict({**made.to_dict(), "plane_axes": _plane_axes(network, reader)})

    config = config_from_file(build, GeneratorConfig())
    if config.c_dim != 25:
        raise WeightsError(f"it takes {config.c_dim} numbers for a camera; EG3D's generators take 25.")
    return config


def _settings(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WeightsError(f"it has no {name}; is it an EG3D generator?")
    return plain_settings(value, name)


def _plane_axes(network: PickledNetwork, reader: PickledTensors) -> PlaneAxes:
    """Which planes its renderer samples; files without a renderer's axes are as published."""
    renderer = network.find("renderer")
    axes = renderer.attributes.get("plane_axes") if renderer else None
    if not isinstance(axes, TensorRef):
        return "xy_xz_zx"
    if axes.shape != (3, 3, 3):
        raise WeightsError(f"it is damaged: its plane axes have the shape {list(axes.shape)}.")
    value: Tensor = reader.read(axes)
    first, second = (tuple(tuple(row) for row in value[i, :2].tolist()) for i in range(2))
    found = _AXES.get(tuple(tuple(row) for row in value[2, :2].tolist()))
    if first != ((1, 0, 0), (0, 1, 0)) or second != ((1, 0, 0), (0, 0, 1)) or found is None:
        raise WeightsError("it samples its planes along axes that no published generator has.")
    return found
