"""The encoder: IR-SE trunk, feature pyramid, one map2style head per row of ws. Its output is a step in W+, not a ws."""

from __future__ import annotations

import json
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..camera import Camera
from ..errors import InputError, WeightsError
from ..metrics.irse_blocks import input_layer, irse_body
from ..unfilled import allocated, unfilled
from .config import EncoderConfig
from .e4e import check_stage, rows_from_deltas
from .face_trunk import FaceFeatures
from .map2style import Map2Style

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class Encoder(nn.Module):
    """From a photo, and the current estimate and the camera where they are taken, to a residual [N,num_ws,w_dim].

    `state_dict()` has exactly the published names. Two more facts belong to a trained encoder and travel beside it:
    latent_avg: [1,num_ws,w_dim], where the loop starts (a buffer, not in the state_dict).
    generator_fingerprint: the generator it was trained for; empty = unknown.
    """

    latent_avg: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.generator_fingerprint = ""
        self.register_buffer("latent_avg", torch.zeros(1, config.num_ws, config.w_dim), persistent=False)
        _, width2, width3, width4 = config.widths
        self.input_layer = input_layer(config.input_channels, config.widths[0], config.norm)
        self.body = irse_body(config.depths, config.widths, config.se_pool, config.norm)
        self.styles = nn.ModuleList(self._heads())
        self.latlayer0 = nn.Conv2d(width4, config.fpn_width, 1) if width4 != config.fpn_width else None
        self.latlayer1 = nn.Conv2d(width3, config.fpn_width, 1)
        self.latlayer2 = nn.Conv2d(width2, config.fpn_width, 1)
        images = config.input_channels // 3
        self.face = FaceFeatures(images, config.fpn_width) if config.face_features else None

    @property
    def method(self) -> str:
        """The name of the system that this encoder makes: "3dpsp" (the loop), "psp" or "e4e" (one step)."""
        if self.config.row_deltas:
            return "e4e"
        return "3dpsp" if self.config.input_channels == 6 else "psp"

    @property
    def num_ws(self) -> int:
        """Rows of the ws it makes."""
        return self.config.num_ws

    @property
    def w_dim(self) -> int:
        """Numbers in a row."""
        return self.config.w_dim

    def _heads(self) -> list[Map2Style]:
        """Heads in the order of the rows they make."""
        config = self.config
        heads = []
        for rows, divisor in ((config.coarse_rows, 16), (config.middle_rows, 8), (config.fine_rows, 4)):
            for _ in range(1 if config.shared_heads else rows):
                head = Map2Style(
                    config.fpn_width,
                    config.input_resolution // divisor,
                    config.head_width,
                    config.w_dim,
                    rows=rows if config.shared_heads else 1,
                    camera_features=config.camera_features,
                    pointwise=config.head_pointwise,
                    init_std=config.head_init_std,
                )
                heads.append(head)
        return heads

    def trunk(
        self, x: Float[Tensor, "n c r r"]
    ) -> tuple[Float[Tensor, "n c1 r4 r4"], Float[Tensor, "n c2 r8 r8"], Float[Tensor, "n c3 r16 r16"]]:
        """Features after the second, third and fourth stage: 1/4, 1/8 and 1/16 of the input's side."""
        first, second, third, _ = self.config.depths
        c1 = self.body[: first + second](self.input_layer(x.to(self.latlayer1.weight.dtype)))
        c2 = self.body[first + second : first + second + third](c1)
        return c1, c2, self.body[first + second + third :](c2)

    def forward(
        self, x: Float[Tensor, "n c r r"], camera: Camera | None = None, *, stage: int | None = None
    ) -> Float[Tensor, "n l w"]:
        """The step to add to the current ws.

        Args:
            x: [N,input_channels,r,r] in [-1,1], r = input_resolution; the photo, then the current estimate.
            camera: N cameras (one serves all); needed by encoders with camera features, ignored by others.
            stage: e4e only, how many rows may differ from the first (see `e4e.py`); None: all.

        Returns:
            [N,num_ws,w_dim].

        Raises:
            InputError: x has another shape, the camera is missing, or there is no such stage.
        """
        config = self.config
        expected = (config.input_channels, config.input_resolution, config.input_resolution)
        if tuple(x.shape[1:]) != expected:
            raise InputError(f"This encoder takes [N,{', '.join(map(str, expected))}]; got {list(x.shape)}.")
        if config.camera_features and camera is None:
            raise InputError("This encoder needs the camera of every photo; pass camera=.")
        label = None if camera is None else camera.expand(len(x)).label.to(x)
        c1, c2, c3 = self.trunk(x)
        p3 = c3 if self.latlayer0 is None else self.latlayer0(c3)
        l2 = self.latlayer1(c2)
        if self.face is not None:
            added2, added3 = self.face(x, (l2.shape[-1], p3.shape[-1]))
            l2, p3 = l2 + added2, p3 + added3
        p2 = _upsample_add(p3, l2)
        p1 = _upsample_add(p2, self.latlayer2(c1))
        maps = {p.shape[-1]: p for p in (p3, p2, p1)}
        used = len(self.styles) if stage is None else check_stage(config, stage) + 1
        rows = torch.cat([head(maps[head.size], label) for head in list(self.styles)[:used]], 1)
        return rows_from_deltas(rows, config.num_ws) if config.row_deltas else rows

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Everything that makes this encoder, for a safetensors file: tensors, and metadata of plain text."""
        tensors = {**self.state_dict(), "latent_avg": self.latent_avg}
        metadata = {
            "kind": "encoder",
            "config": json.dumps(self.config.to_dict()),
            "generator": self.generator_fingerprint,
        }
        return {name: tensor.contiguous() for name, tensor in tensors.items()}, metadata


def build_encoder(config: EncoderConfig, *, seed: int = 0) -> Encoder:
    """A new encoder in eval mode with random weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ready(Encoder(config))


def encoder_from_state(config: EncoderConfig, state: dict[str, Tensor]) -> Encoder:
    """An encoder in float32 and eval mode with the weights of a state_dict (published names).

    Raises:
        WeightsError: the weights do not fit the configuration.
    """
    with unfilled():  # 230 M random numbers that would be overwritten take seconds
        encoder = Encoder(config)
    allocated(encoder)
    load_encoder_weights(encoder, state)
    return ready(encoder)


def encoder_from_checkpoint(tensors: dict[str, Tensor], metadata: dict[str, str]) -> Encoder:
    """The encoder that `Encoder.checkpoint()` described, in float32 and eval mode.

    Raises:
        WeightsError: not an encoder's checkpoint, or tensors that do not fit its configuration.
    """
    if metadata.get("kind") != "encoder" or "config" not in metadata:
        raise WeightsError("This file does not describe an encoder (no kind and config in its metadata).")
    state = dict(tensors)
    latent_avg = state.pop("latent_avg", torch.empty(0))
    encoder = encoder_from_state(EncoderConfig.from_dict(json.loads(metadata["config"])), state)
    if latent_avg.shape != encoder.latent_avg.shape:
        raise WeightsError(
            f"This encoder's file needs latent_avg {list(encoder.latent_avg.shape)}; it has {list(latent_avg.shape)}."
        )
    encoder.latent_avg.copy_(latent_avg)
    encoder.generator_fingerprint = metadata.get("generator", "")
    return encoder


def load_encoder_weights(encoder: Encoder, state: dict[str, Tensor]) -> None:
    """Copy a state_dict with the published names into the encoder; BatchNorm's step counters may be missing.

    Raises:
        WeightsError: tensors missing, left over, or of another shape; nothing is changed then.
    """
    fill_network(encoder, state, "encoder")


def fill_network(network: nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Copy a state_dict into a network; BatchNorm's step counters may be missing, other buffers are set to zero.

    Raises:
        WeightsError: tensors missing, left over, or of another shape; nothing is changed then.
    """
    own = network.state_dict()
    needed = {name for name in own if not name.endswith("num_batches_tracked")}
    missing, unknown = sorted(needed - set(state)), sorted(set(state) - set(own))
    wrong = [name for name in needed & set(state) if own[name].shape != state[name].shape]
    kinds = {"missing": missing, "unknown": unknown, "of another shape": sorted(wrong)}
    problems = [f"{len(names)} {kind} (first: {names[0]})" for kind, names in kinds.items() if names]
    if problems:
        raise WeightsError(f"These weights do not fit the {what}: {'; '.join(problems)}.")
    for name, buffer in network.named_buffers():
        if name not in needed:
            buffer.zero_()
    network.load_state_dict(state, strict=False)


def ready(network: NetworkT) -> NetworkT:
    """Eval mode, and channels last, which is faster on a CPU."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network.train(False)


def _upsample_add(small: Tensor, large: Tensor) -> Tensor:
    """The small map resized to the large one's side (bilinear, corners aligned), plus the large one."""
    return F.interpolate(small, size=large.shape[2:], mode="bilinear", align_corners=True) + large
