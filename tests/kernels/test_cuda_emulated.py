"""The code for graphics cards against the plain ops, on the host: no card runs here, only what its threads would do.

Values and gradients of the same cases, and with the same tolerances, as the op for the CPU.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest
import torch

from eg3d_kernels import _backend
from eg3d_kernels.cuda import availability, self_check
from tests.kernels import (
    test_bias_act,
    test_modulated_conv2d,
    test_query_points,
    test_render_rays,
    test_sample_planes,
    test_upfirdn2d,
)
from tests.kernels.agreement import check_agreement
from tests.kernels.emulated import load_emulated

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def compiled() -> _backend.Library:
    return load_emulated()


@pytest.fixture(autouse=True)
def emulated(compiled: _backend.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """The implementation "cpu" is that for graphics cards; what was found of it is forgotten afterwards."""
    monkeypatch.setattr(_backend, "library", lambda: compiled)
    module = sys.modules["eg3d_kernels.cpu.modulated_conv2d"]  # in its package the function goes by that name
    monkeypatch.setattr(module, "on_processor", lambda x: False)
    monkeypatch.setattr(availability, "_reasons", {})
    monkeypatch.setattr(availability, "_warned", set())


@pytest.mark.parametrize("case", test_render_rays.CASES, ids=lambda case: case.name)
def test_rays_match_the_reference(case: test_render_rays.Case) -> None:
    test_render_rays.test_cpu_matches_reference(case)


@pytest.mark.parametrize("case", test_query_points.CASES, ids=lambda case: case.name)
def test_points_match_the_reference(case: test_query_points.Case) -> None:
    test_query_points.test_cpu_matches_reference(case)


@pytest.mark.parametrize("case", test_bias_act.CASES, ids=lambda case: case.name)
def test_activations_match_the_reference(case: test_bias_act.Case) -> None:
    check_agreement(case.run, case.inputs())


@pytest.mark.parametrize("case", test_upfirdn2d.CASES, ids=lambda case: case.name)
def test_resampling_matches_the_reference(case: test_upfirdn2d.Case) -> None:
    check_agreement(case.run, [case.input()])


@pytest.mark.parametrize("case", test_modulated_conv2d.CASES, ids=lambda case: case.name)
def test_convolutions_match_the_reference(case: test_modulated_conv2d.Case) -> None:
    check_agreement(case.run, case.inputs())


@pytest.mark.parametrize("case", test_sample_planes.CASES, ids=lambda case: case.name)
def test_look_ups_match_the_reference(case: test_sample_planes.Case) -> None:
    test_sample_planes.test_cpu_matches_reference(case)


@pytest.mark.parametrize("op", self_check.EXAMPLES)
def test_the_check_at_first_use_passes(op: str) -> None:
    assert self_check.worst_difference(op, CPU) < 1e-5
    assert availability.checked(op, CPU) == ""


WRONG = {
    "sample_planes": "eg3d_sample_planes_grad_planes",
    "query_points": "eg3d_query_points",
    "render_rays": "eg3d_render_rays_backward",
    "bias_act": "eg3d_bias_act",
    "upfirdn2d": "eg3d_upfirdn2d",
    "modulated_conv2d": "eg3d_scale_channels",
}


@pytest.mark.parametrize("op", WRONG)
def test_the_check_at_first_use_sees_an_error_of_one_percent(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _backend.call_library

    def spoil_one(where: _backend.Library, function: str, arguments: Sequence[_backend.Argument], last: int) -> None:
        arguments = list(arguments)
        if function == WRONG[op]:
            first = next(i for i, argument in enumerate(arguments) if isinstance(argument, torch.Tensor))
            arguments[first] = arguments[first] * 1.01
        run(where, function, arguments, last)

    monkeypatch.setattr(_backend, "call_library", spoil_one)
    assert self_check.worst_difference(op, CPU) > self_check.TOLERANCE


def test_a_wrong_result_is_told_once_and_remembered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []
    monkeypatch.setattr(self_check, "worst_difference", lambda op, device: asked.append(op) or 0.5)
    monkeypatch.setattr(availability, "unavailable_reason", lambda op, device: availability.checked(op, CPU))
    tensors = [torch.zeros(1)]
    assert not availability.usable("bias_act", tensors)
    assert not availability.usable("bias_act", tensors)
    assert asked == ["bias_act"]
    assert [record.getMessage() for record in caplog.records] == [
        "bias_act runs as plain torch on the graphics card: its result differs from the plain one by 5.0e-01 on cpu"
    ]
    with pytest.raises(_backend.KernelUnavailableError, match=r"differs .* on cpu\. Or use implementation='auto'"):
        availability.require("bias_act", tensors)
