"""The environment variable that chooses what "auto" means."""

from __future__ import annotations

import pytest
import torch

from eg3d_kernels import image_format, upfirdn2d
from eg3d_kernels._backend import choose


@pytest.mark.parametrize(
    ("value", "chosen", "layout"),
    [
        ("", "cpu", torch.channels_last),
        ("auto", "cpu", torch.channels_last),
        ("reference", "reference", torch.channels_last),
        ("published", "reference", torch.contiguous_format),
    ],
)
def test_auto_means_what_the_environment_says(
    value: str, chosen: str, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THREEDPSP_KERNELS", value)
    assert choose("op", "auto", [torch.zeros(1)]) == chosen
    assert image_format() == layout
    assert choose("op", "cpu", [torch.zeros(1)]) == "cpu"  # a named one is what was named


def test_an_unknown_choice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREEDPSP_KERNELS", "fast")
    with pytest.raises(ValueError, match="auto, reference or published; got 'fast'"):
        upfirdn2d(torch.zeros(1, 1, 4, 4), (1.0,))
