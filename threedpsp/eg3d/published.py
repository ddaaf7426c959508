"""EG3D's own settings, as its network files and recorded cases hold them -> our config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..camera import PIVOT, RADIUS
from ..errors import InputError
from .config import SUPERRESOLUTION, GeneratorConfig, RenderConfig

_HYBRID = "SuperresolutionHybrid"
_DEFAULT_MAPPING_LAYERS = 8  # of the published mapping network, where its file does not say
_DEFAULT_CLAMP = 256.0


def published_config(
    init: Mapping[str, Any],
    rendering: Mapping[str, Any],
    neural_rendering_resolution: int,
    *,
    depth_clamp: Literal["image", "batch"] = "image",
) -> GeneratorConfig:
    """Our config for a published generator.

    Args:
        init: its `init_kwargs`: z_dim, c_dim, w_dim, img_resolution, channel_base, channel_max, mapping_kwargs
            (or mapping_layers), sr_num_fp16_res, conv_clamp. What is absent has the published network's default.
        rendering: its `rendering_kwargs`.
        neural_rendering_resolution: side of its volume-rendered image.
        depth_clamp: "batch" is what the published renderer does; the default keeps images independent of each other.

    Raises:
        InputError: a setting is missing, or names something that no published generator has.
    """
    try:
        return _published_config(init, rendering, neural_rendering_resolution, depth_clamp)
    except KeyError as error:
        raise InputError(f"The generator's settings lack {error.args[0]!r}; is this an EG3D generator?") from error


def _published_config(
    init: Mapping[str, Any], rendering: Mapping[str, Any], side: int, depth_clamp: Literal["image", "batch"]
) -> GeneratorConfig:
    mapping = init.get("mapping_kwargs") or {}
    shape = SUPERRESOLUTION[_superresolution_name(rendering["superresolution_module"])]
    if shape.img_resolution != init["img_resolution"]:
        raise InputError(
            f"{rendering['superresolution_module']} makes {shape.img_resolution} pixels, "
            f"but img_resolution is {init['img_resolution']}."
        )
    if rendering.get("clamp_mode", "softplus") != "softplus":
        raise InputError(f"Density is clamped by softplus in every published generator, not {rendering['clamp_mode']}.")
    radius, pivot = rendering.get("avg_camera_radius", RADIUS), rendering.get("avg_camera_pivot", PIVOT)
    clamp = init.get("conv_clamp", _DEFAULT_CLAMP)
    x, y, z = (float(v) for v in pivot)
    return GeneratorConfig(
        z_dim=init["z_dim"],
        c_dim=init.get("c_dim", 25),
        w_dim=init["w_dim"],
        mapping_layers=init.get("mapping_layers", mapping.get("num_layers", _DEFAULT_MAPPING_LAYERS)),
        img_resolution=shape.img_resolution,
        channel_base=init.get("channel_base", 32768),
        channel_max=init.get("channel_max", 512),
        conv_clamp=None if clamp is None else float(clamp),
        decoder_lr_mul=float(rendering.get("decoder_lr_mul", 1)),
        neural_rendering_resolution=side,
        sr_resolution=shape.sr_resolution,
        sr_up=shape.sr_up,
        sr_channels=shape.sr_channels,
        sr_antialias=rendering.get("sr_antialias", False),
        sr_conv_clamp=_DEFAULT_CLAMP if init.get("sr_num_fp16_res", 0) > 0 else None,
        sr_noise=rendering.get("superresolution_noise_mode", "none") != "none",
        c_scale=float(rendering.get("c_scale", 1)),
        c_gen_conditioning_zero=bool(rendering["c_gen_conditioning_zero"]),
        camera_radius=float(radius),
        camera_pivot=(x, y, z),
        rendering=RenderConfig(
            ray_start=_bound(rendering["ray_start"]),
            ray_end=_bound(rendering["ray_end"]),
            depth_resolution=rendering["depth_resolution"],
            depth_resolution_importance=rendering["depth_resolution_importance"],
            box_warp=float(rendering["box_warp"]),
            disparity_space_sampling=bool(rendering["disparity_space_sampling"]),
            white_back=bool(rendering.get("white_back", False)),
            depth_clamp=depth_clamp,
        ),
    )


def _superresolution_name(module: str) -> str:
    """`training.superresolution.SuperresolutionHybrid8XDC` -> `8XDC`."""
    name = module.rpartition(".")[2].removeprefix(_HYBRID)
    if name not in SUPERRESOLUTION:
        known = ", ".join(_HYBRID + n for n in SUPERRESOLUTION)
        raise InputError(f"Super-resolution {module!r} is not in any published generator; known: {known}.")
    return name


def _bound(value: float | str) -> float | Literal["auto"]:
    if value == "auto":
        return "auto"
    return float(value)
