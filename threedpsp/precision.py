"""In which types networks compute: decided here and nowhere else, beside the device.

Whatever is chosen, these stay in float32: mapping and styles, demodulation, the layers that make colours (torgb), rays
and compositing, losses' sums, metrics, master weights and the optimizer. Convolutions add up in float32.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar, cast, get_args

import torch
from torch import nn

from .errors import InputError

NetworkT = TypeVar("NetworkT", bound=nn.Module)
PrecisionName = Literal["auto", "float32", "bfloat16", "float16"]
"""What can be asked for; which types that is depends on the device."""
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
        types = {part: str(found).removeprefix("torch.") for part, found in asdict(self).items()}
        found = set(types.values())
        return found.pop() if len(found) == 1 else ", ".join(f"{part} {name}" for part, name in types.items())

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """Around an encoder or a loss network: its convolutions and products run in the type of `networks`."""
        if self.networks == torch.float32:
            return nullcontext()
        return torch.autocast(device.type, self.networks)

    def for_training(self) -> Precision:
        """The same with float32 instead of float16, whose smallest numbers are larger than many gradients."""
        return replace(self, **{part: torch.float32 for part, found in asdict(self).items() if found == torch.float16})


FLOAT32 = Precision()
BFLOAT16 = Precision(torch.bfloat16, torch.bfloat16, torch.bfloat16)
FLOAT16 = Precision(torch.float32, torch.float16, torch.float16)
"""As EG3D's code does it on cards: the backbone stays in float32."""
ON_CARDS = Precision(torch.float32, torch.float16, torch.bfloat16)


def resolve_precision(wanted: str | Precision, device: torch.device) -> Precision:
    """The types that a name means on a device.

    Args:
        wanted: "float32"; "bfloat16"; "float16" (cards only: super-resolution as published, and encoders); "auto", see
            `automatic_precision`; or types that were found before.
        device: where the networks are.

    Raises:
        InputError: there is no such name, or this device does not do it.
    """
    if isinstance(wanted, Precision):
        return wanted
    if wanted not in get_args(PrecisionName):
        raise InputError(f"precision must be one of {', '.join(get_args(PrecisionName))}; got '{wanted}'.")
    if wanted == "float16" and device.type != "cuda":
        raise InputError(
            f"float16 on {device.type} is slower than float32 and overflows; use --precision float32, or bfloat16 "
            "where the processor has it (auto finds out)."
        )
    named = {"float32": FLOAT32, "bfloat16": BFLOAT16, "float16": FLOAT16}
    return automatic_precision(device)[0] if wanted == "auto" else named[wanted]


def automatic_precision(device: torch.device) -> tuple[Precision, str]:
    """What "auto" means on a device, and why.

    What `PRECISION_VARIABLE` says. Where nothing is said: on a card the types of the published code, and encoders in
    bfloat16; on a processor that multiplies bfloat16 by itself that type; on others and on other devices float32.

    Raises:
        InputError: the variable says what there is not, or what this device does not do.
    """
    if (said := os.environ.get(PRECISION_VARIABLE) or "auto") != "auto":
        return resolve_precision(said, device), f"the environment variable {PRECISION_VARIABLE} says so"
    if device.type == "cuda":
        found = ON_CARDS if torch.cuda.is_bf16_supported() else FLOAT16
        return found, "as published on cards; there float32 convolutions are TF32"
    if device.type != "cpu":
        return FLOAT32, f"nothing else has been tried on {device.type}"
    if processor_multiplies_bfloat16():
        return BFLOAT16, "this processor multiplies that type by itself"
    return FLOAT32, "this processor would only imitate the faster type"


def processor_multiplies_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware (amx or avx512); others only imitate that."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # newer than the oldest torch that we take
    if capabilities is None:
        return False
    found = cast("dict[str, Any]", capabilities())
    return bool(found.get("amx_bf16") or found.get("avx512_bf16"))


def convolutions_in(network: NetworkT, dtype: torch.dtype) -> NetworkT:
    """The same network, frozen, with the weights of its convolutions in a type once and for all.

    Between the convolutions maps stay in that type. Batch normalisation and linear layers keep float32, and so do what
    comes in and what goes out.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.PReLU | nn.GroupNorm):
            module.to(dtype)
    return network
