"""Writes files with the structure of the official ones: EG3D's network pickle, the torch files of the other networks.

`python -m tests.official_files DIR` writes a full-size generator and 3DpSp encoder with the recorded cases' weights.
"""

from __future__ import annotations

import argparse
import importlib
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from threedpsp.eg3d.config import SUPERRESOLUTION, GeneratorConfig

SOURCE = "raise SystemExit('the source embedded in a checkpoint must never be executed')\n"
BUFFERS = {"w_avg", "noise_const", "resample_filter"}
PUBLISHED_AXES = torch.tensor(
    [[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 0, 1], [0, 1, 0]], [[0, 0, 1], [1, 0, 0], [0, 1, 0]]]
).float()
STUB_MODULES = {
    "torch_utils.persistence": ["_reconstruct_persistent_obj"],
    "training.triplane": ["OSGDecoder"],
    "training.volumetric_rendering.renderer": ["ImportanceRenderer"],
    "training.volumetric_rendering.ray_marcher": ["MipRayMarcher2"],
    "training.volumetric_rendering.ray_sampler": ["RaySampler"],
    "dnnlib.util": ["EasyDict"],
    "unsup3d.meters": ["MetricsTrace"],
}


class Persistent:
    """A network of EG3D: pickled as a call with its source, the name of its class and its state."""

    def __init__(self, class_name: str, state: dict[str, Any]) -> None:
        self.class_name = class_name
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        function = sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj
        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": self.class_name, "state": self.state}
        return function, (meta,)


def plain(module: str, class_name: str, state: dict[str, Any]) -> Any:
    """An ordinary module: pickled as a new object of its class and a state. To be called within `stub_modules`."""
    cls = getattr(importlib.import_module(module), class_name)
    made = cls.__new__(cls)
    made.__dict__.update(state)
    return made


@contextmanager
def stub_modules() -> Iterator[None]:
    """Empty stand-ins of EG3D's modules, for as long as something is pickled: pickle wants to find every name."""
    names = {".".join(name.split(".")[:i]) for name in STUB_MODULES for i in range(1, 1 + name.count(".") + 1)}
    made = {name: types.ModuleType(name) for name in names}
    for name, members in STUB_MODULES.items():
        for member in members:
            if member[0] == "_":
                value: Any = lambda meta: None  # noqa: E731
                value.__name__ = value.__qualname__ = member
                value.__module__ = name
            else:
                value = type(member, (dict,) if member == "EasyDict" else (), {"__module__": name})
            setattr(made[name], member, value)
    before = {name: sys.modules.get(name) for name in made}
    sys.modules.update(made)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def network_state(tensors: dict[str, Any], children: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    """What a torch module's `__dict__` has."""
    weights = {name: value for name, value in tensors.items() if name not in BUFFERS}
    parameters = {name: nn.Parameter(t, False) if isinstance(t, Tensor) else t for name, t in weights.items()}
    return {
        "training": False,
        "_parameters": parameters,
        "_buffers": {name: t for name, t in tensors.items() if name in BUFFERS},
        "_non_persistent_buffers_set": set(),
        "_backward_hooks": OrderedDict(),
        "_forward_hooks": OrderedDict(),
        "_modules": children,
        **attributes,
    }


def persistent_tree(state: dict[str, Any], root_attributes: dict[str, Any], superresolution: str) -> Persistent:
    """A state dict as the tree of objects that EG3D pickles."""
    attributes = {
        "": root_attributes,
        "superresolution": {"input_resolution": 128, "sr_antialias": True},
        "backbone.mapping": {"w_avg_beta": 0.998, "lr_multiplier": np.float64(0.01)},
    }

    def node(prefix: str, names: list[str]) -> Any:
        tensors, below = {}, {}
        for name in names:
            child, _, rest = name.partition(".")
            if rest:
                below.setdefault(child, []).append(rest)
            else:
                tensors[child] = state[f"{prefix}.{name}" if prefix else name]
        children = {n: node(f"{prefix}.{n}" if prefix else n, rest) for n, rest in below.items()}
        if prefix == "":
            marcher = plain("training.volumetric_rendering.ray_marcher", "MipRayMarcher2", network_state({}, {}))
            renderer = network_state({}, {"ray_marcher": marcher}, plane_axes=PUBLISHED_AXES)
            sampler = network_state({}, {}, ray_origins_h=None, depths=None)
            children = {
                "renderer": plain("training.volumetric_rendering.renderer", "ImportanceRenderer", renderer),
                "ray_sampler": plain("training.volumetric_rendering.ray_sampler", "RaySampler", sampler),
                **children,
            }
        if prefix == "decoder.net":
            children["1"] = plain(
                "torch.nn.modules.activation", "Softplus", network_state({}, {}, beta=1, threshold=20)
            )
        content = network_state(tensors, children, **attributes.get(prefix, {}))
        return wrapped(prefix, content, superresolution)

    return node("", list(state))


def wrapped(prefix: str, content: dict[str, Any], superresolution: str) -> Any:
    """The state under the class that EG3D has at this place."""
    if prefix == "decoder":
        return plain("training.triplane", "OSGDecoder", content)
    if prefix == "decoder.net":
        return plain("torch.nn.modules.container", "Sequential", content)
    places = {
        "": "TriPlaneGenerator",
        "backbone": "Generator",
        "backbone.synthesis": "SynthesisNetwork",
        "backbone.mapping": "MappingNetwork",
        "superresolution": f"SuperresolutionHybrid{superresolution}",
    }
    last = prefix.rpartition(".")[2]
    name = places.get(prefix)
    if name is None:
        name = "SynthesisLayer" if last.startswith("conv") else "ToRGBLayer" if last == "torgb" else "SynthesisBlock"
        if last == "affine" or last.startswith(("fc", "embed")) or prefix.startswith("decoder"):
            name = "FullyConnectedLayer"
    return Persistent(name, content)


def settings_of(config: GeneratorConfig, superresolution: str) -> dict[str, Any]:
    """The attributes that EG3D's generator has for a configuration."""
    render = config.rendering
    rendering = {
        "image_resolution": config.img_resolution,
        "disparity_space_sampling": render.disparity_space_sampling,
        "clamp_mode": "softplus",
        "superresolution_module": f"training.superresolution.SuperresolutionHybrid{superresolution}",
        "c_gen_conditioning_zero": config.c_gen_conditioning_zero,
        "gpc_reg_prob": 0.8,
        "c_scale": config.c_scale,
        "superresolution_noise_mode": "none",
        "density_reg": 0.25,
        "decoder_lr_mul": 1,
        "sr_antialias": config.sr_antialias,
        "depth_resolution": render.depth_resolution,
        "depth_resolution_importance": render.depth_resolution_importance,
        "ray_start": render.ray_start,
        "ray_end": render.ray_end,
        "box_warp": render.box_warp,
        "avg_camera_radius": config.camera_radius,
        "avg_camera_pivot": list(config.camera_pivot),
    }
    if render.white_back:
        rendering["white_back"] = True
    return {
        "z_dim": config.z_dim,
        "c_dim": config.c_dim,
        "w_dim": config.w_dim,
        "img_resolution": config.img_resolution,
        "img_channels": 3,
        "neural_rendering_resolution": config.neural_rendering_resolution,
        "rendering_kwargs": rendering,
        "_last_planes": None,
        "_init_args": (),
        "_init_kwargs": {
            "z_dim": config.z_dim,
            "c_dim": config.c_dim,
            "w_dim": config.w_dim,
            "img_resolution": config.img_resolution,
            "img_channels": 3,
            "channel_base": config.channel_base,
            "channel_max": config.channel_max,
            "num_fp16_res": 0,
            "conv_clamp": config.conv_clamp,
            "mapping_kwargs": {"num_layers": config.mapping_layers},
            "rendering_kwargs": rendering,
            "sr_num_fp16_res": 4 if config.sr_conv_clamp else 0,
            "sr_kwargs": {"channel_base": config.channel_base, "channel_max": config.channel_max},
        },
    }


def superresolution_name(config: GeneratorConfig) -> str:
    """Which published module a configuration has."""
    own = (config.img_resolution, config.sr_resolution, config.sr_up, config.sr_channels)
    return next(
        name
        for name, shape in SUPERRESOLUTION.items()
        if (shape.img_resolution, shape.sr_resolution, shape.sr_up, shape.sr_channels) == own
    )


def write_eg3d_pickle(
    path: Path,
    config: GeneratorConfig,
    state: dict[str, Any],
    *,
    also: tuple[str, ...] = (),
    attributes: dict[str, Any] | None = None,
) -> Path:
    """EG3D's .pkl with these weights (tensors, or what a hostile file has in their place) as G_ema.

    also: "G", "D": networks that real files hold too (here the same weights again).
    attributes: replace the generator's own attributes of the same names.
    """
    name = superresolution_name(config)
    own = settings_of(config, name) | (attributes or {})
    with stub_modules(), open(path, "wb") as file:
        networks = {
            key: persistent_tree(state, own, name) if key == "G_ema" or key in also else None
            for key in ("G", "D", "G_ema")
        }
        options = sys.modules["dnnlib.util"].EasyDict(path="ffhq.zip", use_labels=True)
        pickle.dump({**networks, "training_set_kwargs": options, "augment_pipe": None}, file, protocol=4)
    return path


def write_encoder(
    path: Path,
    state: dict[str, Tensor],
    latent_avg: Tensor | None,
    *,
    prefix: str = "",
    options: dict[str, Any] | None = None,
    legacy: bool = False,
) -> Path:
    """The .pt of 3DpSp (no prefix, `opts` a dict) or of pSp, e4e and TriPlaneNet (a prefix, `opts` a Namespace)."""
    values = {
        "exp_dir": "experiments",
        "n_iters_per_batch": 5,
        "device": torch.device("cuda:0"),
        "learning_rate": np.float64(1e-4),
        **(options or {}),
    }
    content: dict[str, Any] = {
        "state_dict": OrderedDict((prefix + name, tensor) for name, tensor in state.items()),
        "opts": argparse.Namespace(**values) if prefix else values,
        "best_val_loss": np.float32(0.25),
        "step": 500_000,
        "optimizer": {
            "state": {0: {"step": 1, "exp_avg": torch.zeros(4)}},
            "param_groups": [{"lr": 1e-4, "params": [0]}],
        },
    }
    if latent_avg is not None:
        content["latent_avg"] = latent_avg
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def write_unsup3d(path: Path, confnet: dict[str, Tensor]) -> Path:
    """unsup3d's checkpoint: networks, an optimizer's state, and an object of its own with the course of training."""
    losses = {"loss": 0.5, "loss_perc_im": 0.25, "speed": 100.0}
    with stub_modules():
        content = {
            "netD": {"network.0.weight": torch.zeros(3)},
            "netC": OrderedDict(confnet),
            "optimizerC": {"state": {0: {"step": 1, "exp_avg": torch.zeros(4)}}, "param_groups": [{"params": [0]}]},
            "metrics_trace": plain("unsup3d.meters", "MetricsTrace", {"data": {"train": [losses], "val": [losses]}}),
            "epoch": 30,
        }
        torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def main() -> None:
    """Writes generator.pkl and encoder.pt, full-size, into the folder that is named."""
    from tests.golden import load_golden, seeded_weights

    folder = Path(sys.argv[1])
    tensors, metadata = load_golden("inversion_3dpsp")
    config = GeneratorConfig.ffhq512_128()
    print(write_eg3d_pickle(folder / "generator.pkl", config, seeded_weights(metadata["generator_weights"])))
    encoder = seeded_weights(metadata["encoder_weights"])
    print(write_encoder(folder / "encoder.pt", encoder, tensors["latent_avg"]))


if __name__ == "__main__":
    main()
