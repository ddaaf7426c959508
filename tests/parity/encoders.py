"""The encoders: 3DpSp's and pSp's residuals, e4e's at its stages."""

from __future__ import annotations

import dataclasses
import re

import torch

from eg3d_kernels import Implementation
from threedpsp.camera import Camera
from threedpsp.encoder.config import EncoderConfig
from threedpsp.encoder.encoder import Encoder, encoder_from_state

from .case import Case
from .measure import Measured, compare

# float32 sums in another order, channels last (the worst seen is 4e-6); a wrong eps or pooling costs 5e-5 and more
RESIDUAL = 1e-5
# ten times the 2e-4 that an independent implementation reached: recorded before the input was rounded to float16
BODY = 2e-3
INPUT = r"x(_stride1)?(_fp16)?"
INPUTS = ("x", "x_stride1", "x_fp16", "x_stride1_fp16", "camera")


def run_threedpsp(case: Case, implementation: Implementation) -> list[Measured]:
    """3DpSp: residuals, and features of the trunk."""
    return _run(case, EncoderConfig.threedpsp())


def run_psp(case: Case, implementation: Implementation) -> list[Measured]:
    """PSp: residuals."""
    return _run(case, EncoderConfig.psp())


def run_e4e(case: Case, implementation: Implementation) -> list[Measured]:
    """E4e: residuals at every recorded stage: `residual_WTraining`, `residual_Delta4Training`, `residual_Inference`."""
    weights = case.weights()
    encoder = encoder_from_state(configured(EncoderConfig.e4e(), weights, case), weights)
    del weights
    x = case.tensor(case.one_named(INPUT)).float()
    outputs = {}
    for name in case.tensors:
        if found := re.fullmatch(r"residual_(WTraining|Delta(\d+)Training|Inference)", name):
            rows = encoder.config.num_ws - 1
            opened = {"WTraining": 0, "Inference": rows}.get(found[1], int(found[2] or 0))
            with torch.no_grad():
                outputs[name] = encoder(x, stage=min(opened, rows))
    return compare(case, outputs, RESIDUAL)


def configured(config: EncoderConfig, weights: dict[str, torch.Tensor], case: Case) -> EncoderConfig:
    """The config with as many rows as the weights have heads, and the pooling that the case asks for, if it does."""
    rows = len({name.split(".")[1] for name in weights if name.startswith("styles.")})
    pool = {"max": "max", "avg": "avg", "average": "avg"}.get(case.text("se_pool", config.se_pool), config.se_pool)
    return dataclasses.replace(config, num_ws=rows, se_pool=pool)


def encoder_for(weights: dict[str, torch.Tensor], case: Case) -> Encoder:
    """3DpSp's encoder where its heads see the camera, else pSp's."""
    sees_camera = any(".linear_camera." in name for name in weights)
    config = EncoderConfig.threedpsp() if sees_camera else EncoderConfig.psp()
    return encoder_from_state(configured(config, weights, case), weights)


def _run(case: Case, config: EncoderConfig) -> list[Measured]:
    weights = case.weights()
    encoder = encoder_from_state(configured(config, weights, case), weights)
    del weights
    features: dict[str, torch.Tensor] = {}
    for name in case.tensors:
        if found := re.fullmatch(r"(body(\d+))_.*", name):
            encoder.body[int(found[2])].register_forward_hook(_keep(features, found[1]))
    camera = Camera.from_label(case.tensor("camera")) if "camera" in case.tensors else None
    with torch.no_grad():
        residual = encoder(case.tensor(case.one_named(INPUT)).float(), camera)
    limits = {"residual": RESIDUAL} | dict.fromkeys(features, BODY)
    return compare(case, {"residual": residual, **features}, limits)


def _keep(features: dict[str, torch.Tensor], name: str):  # noqa: ANN202
    """A hook that keeps a block's output."""

    def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        features[name] = output

    return hook
