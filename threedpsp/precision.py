"""In which types networks compute: decided here and nowhere else, beside the device.

Whatever is chosen, these stay in float32: mapping and styles, demodulation, the layers that make colours (torgb), rays
and compositing, losses' sums, metrics, master weights and the optimizer. Convolutions add up in float32.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch

from .errors import InputError

PrecisionName = Literal["auto", "float32", "bfloat16", "float16"]
PRECISION_VARIABLE = "THREEDPSP_PRECISION"
"""The environment variable that says what "auto" is, instead of what the hardware suggests."""


@dataclass(frozen=True)
class Precision:
    """The types of the convolutions, by part."""

    backbone: torch.dtype = torch.float32
    superresolution: torch.dtype = torch.float32
    networks: torch.dtype = torch.float32
    """Encoders, and the networks that losses look through."""

    @property
    def name(self) -> str:
        """The one type, or each part's: what reports and files say."""
        types = {part: str(getattr(self, part)).removeprefix("torch.") for part in self.__dataclass_fields__}
        found = set(types.values())
        return found.pop() if len(found) == 1 else ", ".join(f"{part} {name}" for part, name in types.items())

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """Around an encoder or a loss network: its convolutions and products run in the type of `networks`."""
        if self.networks == torch.float32:
            return nullcontext()
        return torch.autocast(device.type, self.networks)


FLOAT32 = Precision()
BFLOAT16 = Precision(torch.bfloat16, torch.bfloat16, torch.bfloat16)
FLOAT16 = Precision(torch.float32, torch.float16, torch.float16)
"""As EG3D's code does it on cards: the backbone stays in float32."""
ON_CARDS = Precision(torch.float32, torch.float16, torch.bfloat16)


def resolve_precision(name: str, device: torch.device) -> Precision:
    """The types that a name means on a device.

    Args:
        name: "float32"; "bfloat16"; "float16" (cards only: super-resolution as published, and encoders); "auto": on an
            NVIDIA card float16 super-resolution as published and bfloat16 encoders, on a processor that multiplies
            bfloat16 by itself (AMX, AVX512-BF16) bfloat16, elsewhere float32. What "auto" is, the environment variable
            THREEDPSP_PRECISION can say.
        device: where the networks are.

    Raises:
        InputError: there is no such name, or this device does not do it.
    """
    if name == "auto":
        name = os.environ.get(PRECISION_VARIABLE) or "auto"
    if name not in get_args(PrecisionName):
        raise InputError(f"precision must be one of {', '.join(get_args(PrecisionName))}; got '{name}'.")
    if name == "float32":
        return FLOAT32
    if name == "float16":
        if device.type != "cuda":
            raise InputError(
                f"float16 on {device.type} is slower than float32 and overflows; use --precision float32, or bfloat16 "
                "where the processor has it (auto finds out)."
            )
        return FLOAT16
    if name == "bfloat16":
        return BFLOAT16
    if device.type == "cuda":
        return ON_CARDS if torch.cuda.is_bf16_supported() else FLOAT16
    return BFLOAT16 if device.type == "cpu" and processor_multiplies_bfloat16() else FLOAT32


def processor_multiplies_bfloat16() -> bool:
    """Whether this processor has products of bfloat16 in hardware (AMX or AVX512-BF16); others only imitate them."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # newer than the oldest torch that we take
    if capabilities is None:
        return False
    found = cast("dict[str, Any]", capabilities())
    return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
