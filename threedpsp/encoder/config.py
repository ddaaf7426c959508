"""The choices that make an encoder; one implementation serves 3DpSp, pSp, e4e and the embedded one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..metrics.irse_blocks import IRSE50_DEPTHS, IRSE50_WIDTHS, Norm, SEPool


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of trunk, feature pyramid and heads. The defaults are 3DpSp's."""

    input_channels: int = 6
    """6: the photo and the current estimate; 3: the photo alone (one step, no loop)."""
    input_resolution: int = 256
    """Side in pixels that photo and estimate are resized to; a power of two."""
    depths: tuple[int, int, int, int] = IRSE50_DEPTHS
    """Bottlenecks in each stage of the trunk."""
    widths: tuple[int, int, int, int] = IRSE50_WIDTHS
    """Channels of each stage."""
    se_pool: SEPool = "max"
    """What the squeeze-and-excitation pools with; weights fit only the one they were trained with."""
    norm: Norm = "batch"
    """Normalisation in the trunk; "group" trains well with small batches and is not in published models."""
    fpn_width: int = 512
    """Channels of the feature pyramid; if it differs from the last stage's, one more 1x1 convolution joins them."""
    num_ws: int = 14
    """Rows of ws, equal to the generator's."""
    w_dim: int = 512
    """Numbers in a row, equal to the generator's."""
    coarse_rows: int = 3
    """The first rows of ws read the smallest map (1/16 of the input's side)."""
    middle_rows: int = 4
    """The next ones read the 1/8 map, the rest the 1/4 map."""
    head_width: int = 512
    """Channels inside the heads."""
    head_pointwise: bool = True
    """A 1x1 convolution before each strided one."""
    head_init_std: float = 1.0
    """Standard deviation of the heads' last weights in a new encoder (before their 1 / sqrt(width))."""
    camera_features: int = 16
    """Channels made from the camera and laid over every head's map; 0: the encoder does not see the camera."""
    shared_heads: bool = False
    """One stack of convolutions for all rows of a level, with a linear layer for each row; not in published models."""
    face_features: bool = False
    """Also read what dlib's recognition network makes of photo and estimate (see `face_trunk.py`); not published."""
    row_deltas: bool = False
    """e4e: the first head makes one w for all rows, the others what their rows differ from it by."""

    def __post_init__(self) -> None:
        side = self.input_resolution
        if side < 32 or side & (side - 1):
            raise InputError(f"input_resolution must be a power of two, at least 32; got {side}.")
        if self.input_channels not in (3, 6):
            raise InputError(f"input_channels is 3 (photo) or 6 (photo and estimate); got {self.input_channels}.")
        if min(self.coarse_rows, self.middle_rows, self.fine_rows) < 1:
            raise InputError(
                f"num_ws {self.num_ws} leaves {self.fine_rows} fine rows after {self.coarse_rows} coarse and "
                f"{self.middle_rows} middle ones; each needs at least one."
            )
        if self.row_deltas and self.shared_heads:
            raise InputError("row_deltas needs a head for every row; switch shared_heads off.")

    @property
    def fine_rows(self) -> int:
        """Rows that read the largest map."""
        return self.num_ws - self.coarse_rows - self.middle_rows

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON-able values."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> EncoderConfig:
        """From `to_dict()` after JSON.

        Raises:
            InputError: an unknown name, or values that do not fit together.
        """
        known = {f.name for f in dataclasses.fields(EncoderConfig)}
        if unknown := sorted(set(values) - known):
            raise InputError(f"Unknown encoder setting(s): {', '.join(unknown)}.")
        arguments: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return EncoderConfig(**arguments)

    @staticmethod
    def threedpsp() -> EncoderConfig:
        """The published 3DpSp encoder (230.2 M parameters)."""
        return EncoderConfig()

    @staticmethod
    def psp() -> EncoderConfig:
        """The pSp encoder as TriPlaneNet uses it: the photo alone, no camera, average pooling."""
        return EncoderConfig(input_channels=3, se_pool="avg", camera_features=0, head_pointwise=False)

    @staticmethod
    def e4e() -> EncoderConfig:
        """The e4e encoder (Encoder4Editing): pSp's network, its heads read as one w and differences from it."""
        return dataclasses.replace(EncoderConfig.psp(), row_deltas=True)

    @staticmethod
    def tiny(num_ws: int = 8, w_dim: int = 512) -> EncoderConfig:
        """The embedded encoder: the same network, small enough for a laptop's CPU."""
        return EncoderConfig(
            input_resolution=128,
            depths=(1, 2, 5, 2),
            widths=(16, 48, 112, 208),
            se_pool="avg",
            norm="group",
            fpn_width=128,
            num_ws=num_ws,
            w_dim=w_dim,
            coarse_rows=3,
            middle_rows=3,
            head_width=112,
            head_pointwise=False,
            head_init_std=0.1,
            shared_heads=True,
        )
