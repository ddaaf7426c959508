"""Encoder weights with the published names -> which encoder they are: its configuration, read off the shapes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..encoder.config import EncoderConfig
from ..encoder.encoder import Encoder
from ..errors import WeightsError
from ..metrics.irse_blocks import IRSE50_DEPTHS, IRSE50_WIDTHS
from .limits import MAX_COUNTS, config_from_file
from .recognised import Recognised, Shape, as_float32, shapes_of, usable

SIGNATURE = ("input_layer.0.weight", "styles.0.linear.weight", "latlayer1.weight")
_E4E_SETTINGS = ("progressive_steps", "progressive_start", "delta_norm", "delta_norm_lambda", "w_discriminator_lambda")


def recognise_encoder(
    state: Mapping[str, Tensor], latent_avg: Tensor | None, options: Mapping[str, object], file_size: int
) -> Recognised:
    """3DpSp, pSp or e4e, told apart by shapes and, for e4e, by the settings saved with it.

    Args:
        state: the encoder's weights with the published names, without a prefix.
        latent_avg: where its loop starts, in any shape that holds [num_ws,w_dim] or [w_dim] numbers.
        options: settings that the training script saved (`opts`).
        file_size: bytes of the file.

    Raises:
        WeightsError: the shapes are those of no encoder.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    e4e = is_e4e(options)
    config = config_from_file(lambda: _config(shapes, e4e), EncoderConfig())
    tensors, problems = usable(shapes_of(lambda: Encoder(config)), shapes, lambda name: state[name], file_size)
    name = "3DpSp" if config.input_channels == 6 else "e4e" if e4e else "pSp"
    what = f"a {name} encoder ({config.input_channels} input channels, {config.num_ws} x {config.w_dim} latents)"
    if latent_avg is not None:
        start, problem = _latent_avg(latent_avg, config)
        tensors |= {} if start is None else {"latent_avg": start}
        problems += [problem] if problem else []
    return Recognised("encoder", what.replace("a e4e", "an e4e"), tensors, config.to_dict(), {}, problems)


def is_e4e(options: Mapping[str, object]) -> bool:
    """Whether training options are e4e's. Its weights alone are not different from pSp's."""
    kind = str(options.get("encoder_type", ""))
    return "4edit" in kind.lower() or "progressive" in kind.lower() or any(name in options for name in _E4E_SETTINGS)


def _config(shapes: Mapping[str, Shape], e4e: bool) -> EncoderConfig:
    """The configuration whose shapes these are, as far as they tell."""
    wrong = [name for name, dimensions in zip(SIGNATURE, (4, 2, 4), strict=True) if len(shapes[name]) != dimensions]
    if wrong:
        raise WeightsError(f"its {wrong[0]} has the dimensions {list(shapes[wrong[0]])}, which no encoder's has.")
    heads = 1 + max(int(name.split(".")[1]) for name in shapes if name.startswith("styles.") and _numbered(name))
    if heads > MAX_COUNTS["num_ws"]:
        raise WeightsError(f"it has {heads} heads, more than {MAX_COUNTS['num_ws']}, which no encoder has.")
    first = shapes["input_layer.0.weight"]
    linear = shapes["styles.0.linear.weight"]
    camera = (*shapes.get("styles.0.linear_camera.2.weight", ()), 0)[0]
    pointwise = shapes.get("styles.0.convs.0.weight", ())[-1:] == (1,)
    sizes = [_head_size(shapes, index, pointwise) for index in range(heads)]
    coarse, middle = sizes.count(sizes[0]), sizes.count(2 * sizes[0])
    trunk = _trunk(shapes)
    return EncoderConfig(
        input_channels=first[1],
        input_resolution=16 * sizes[0],
        depths=trunk[0],
        widths=trunk[1],
        se_pool="max" if camera else "avg",  # 3DpSp alone sees the camera, and it alone takes the maximum
        fpn_width=shapes["latlayer1.weight"][0],
        num_ws=heads,
        w_dim=linear[0],
        coarse_rows=coarse,
        middle_rows=middle,
        head_width=linear[1],
        head_pointwise=pointwise,
        camera_features=camera,
        row_deltas=e4e,
    )


def _trunk(shapes: Mapping[str, Shape]) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
    """Blocks and channels of the four stages; IR-SE50's where the channels of the blocks do not tell four stages."""
    channels: list[int] = []
    while shape := shapes.get(f"body.{len(channels)}.res_layer.1.weight"):
        channels.append(shape[0])
    stages = [(width, len(list(blocks))) for width, blocks in itertools.groupby(channels)]
    if len(stages) != 4:
        return IRSE50_DEPTHS, IRSE50_WIDTHS
    (w1, d1), (w2, d2), (w3, d3), (w4, d4) = stages
    return (d1, d2, d3, d4), (w1, w2, w3, w4)


def _numbered(name: str) -> bool:
    index = name.split(".")[1]
    return index.isdigit() and len(index) < 4


def _head_size(shapes: Mapping[str, Shape], index: int, pointwise: bool) -> int:
    """Side of the map that a head reads: each of its strided convolutions halves it."""
    prefix = f"styles.{index}.convs."
    convolutions = sum(n.startswith(prefix) and n.endswith(".weight") for n in shapes)
    if not 0 < convolutions < 30:
        raise WeightsError(f"its head {index} has {convolutions} convolutions; it is incomplete or no encoder.")
    return int(2 ** (convolutions // 2 if pointwise else convolutions))


def _latent_avg(value: Tensor, config: EncoderConfig) -> tuple[Tensor | None, str]:
    """[1,num_ws,w_dim], or what is wrong with it."""
    expected = (1, config.num_ws, config.w_dim)
    if value.numel() not in (math.prod(expected), config.w_dim):
        return None, f"latent_avg is {list(value.shape)}, expected {list(expected)}"
    if not value.is_floating_point():
        return None, "latent_avg holds whole numbers"
    tensor = as_float32(value).reshape(1, -1, config.w_dim).expand(expected).contiguous()
    if not torch.isfinite(tensor).all():
        return None, "latent_avg has values that are not finite (NaN or infinite)"
    return tensor, ""
