"""What needs no graphics card: nvcc compiles the sources for every architecture, and what one is told without one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from eg3d_kernels import BLUR_TAPS, KernelUnavailableError, _backend, available_implementations, upfirdn2d
from eg3d_kernels.build_cuda import ARCHITECTURES, NVCC_VARIABLE, build_cuda, find_nvcc
from eg3d_kernels.cuda import availability, library, self_check

needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc, the CUDA compiler, is not on PATH")
needs_no_card = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found here is not remembered."""
    monkeypatch.setattr(availability, "_reasons", {})
    monkeypatch.setattr(availability, "_warned", set())
    monkeypatch.setattr(library.library, "_found", None)


@needs_nvcc
def test_nvcc_compiles_every_architecture_and_cffi_finds_every_function() -> None:
    path = build_cuda()
    assert path.suffix in (".so", ".dll")
    if path.suffix == ".so":  # an image for each card names it
        content = path.read_bytes()
        assert [number for number in ARCHITECTURES if f"sm_{number}".encode() not in content] == []
    compiled = _backend.load(path, *library.HEADERS)
    for name in ("eg3d_render_rays", "eg3d_render_rays_backward", "eg3d_upfirdn2d", "eg3d_take_error"):
        assert compiled.ffi.addressof(compiled.functions, name)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NVCC_VARIABLE, "no-such-nvcc")
    with pytest.raises(KernelUnavailableError, match="no-such-nvcc does not exist"):
        find_nvcc()


@pytest.mark.skipif(shutil.which("sh") is None, reason="the stand-in compiler is a shell script")
def test_a_failed_compilation_is_told_once_and_plain_torch_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nvcc = tmp_path / "broken-nvcc"
    nvcc.write_text("#!/bin/sh\necho 'error: unsupported GNU version' >&2\nexit 1\n")
    nvcc.chmod(0o755)
    monkeypatch.setenv(NVCC_VARIABLE, str(nvcc))
    monkeypatch.setenv("THREEDPSP_KERNEL_CACHE", str(tmp_path / "cache"))
    # The card is a pretence: the compiler is asked for before anything is done on it.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    tensors = [torch.zeros(1)]
    for op in ("bias_act", "upfirdn2d", "bias_act"):
        assert not availability.usable(op, tensors)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(lines) == 1
    assert "could not compile the kernels (error: unsupported GNU version)" in lines[0]
    with pytest.raises(KernelUnavailableError, match="bias_act: implementation 'cuda' cannot run: .*unsupported GNU"):
        availability.require("bias_act", tensors)


@needs_no_card
def test_without_a_card_cuda_is_not_available_and_asking_for_it_says_what_to_do() -> None:
    assert "cuda" not in available_implementations("render_rays")
    with pytest.raises(KernelUnavailableError, match=r"finds no NVIDIA .*install a driver.* use implementation='auto'"):
        upfirdn2d(torch.zeros(1, 1, 4, 4), BLUR_TAPS, implementation="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card")
@pytest.mark.parametrize("op", self_check.EXAMPLES)
def test_ops_agree_on_the_card(op: str) -> None:
    assert availability.unavailable_reason(op) == ""
