"""The type checker of the tests bites: a wrong shape in a public call is an error, not a broadcast."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from threedpsp.camera import Camera, look_at


def test_right_shapes_pass():
    assert look_at(torch.tensor([[0.0, 0.0, 2.7]]), torch.zeros(1, 3)).shape == (1, 4, 4)


def test_wrong_shape_is_caught():
    with pytest.raises(TypeCheckError):
        look_at(torch.zeros(1, 4), torch.zeros(1, 3))


def test_sizes_of_one_name_must_agree():
    with pytest.raises(TypeCheckError):
        look_at(torch.ones(2, 3), torch.zeros(1, 3))


def test_plain_types_are_checked_too():
    with pytest.raises(TypeCheckError):
        Camera.from_label("a label")
