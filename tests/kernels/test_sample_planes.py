"""Plane sampling: the compiled op against the plain one, and the plain one against points worked out by hand."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from eg3d_kernels import KernelUnavailableError, sample_planes
from eg3d_kernels.cpu.sample_planes import backward, forward
from tests.golden import relative_error
from tests.kernels.agreement import check_threads_change_nothing


@dataclass(frozen=True)
class Case:
    name: str
    n: int = 2
    p: int = 50
    h: int = 9
    w: int = 12
    c: int = 16
    spread: float = 1.0
    """Coordinates lie in [-spread, spread]; the planes span [-1, 1]."""
    plane_axes: str = "xy_xz_zx"
    published_layout: bool = False

    def inputs(self) -> tuple[Tensor, Tensor]:
        torch.manual_seed(0)
        features = torch.randn(self.n, 3, self.h, self.w, self.c)
        if self.published_layout:
            features = features.permute(0, 1, 4, 2, 3).contiguous().permute(0, 1, 3, 4, 2)
        coordinates = (torch.rand(self.n, 3, self.p) * 2 - 1).transpose(1, 2) * self.spread  # not contiguous
        return features.requires_grad_(), coordinates.requires_grad_()


CASES = [
    Case("plain"),
    Case("three_distinct_planes", plane_axes="xy_xz_zy"),
    Case("at_the_edges_and_outside", spread=1.5),
    Case("all_far_outside", spread=1e12),
    Case("one_point", n=1, p=1),
    Case("no_points", p=0),
    Case("no_images", n=0),
    Case("odd_channels", c=5),
    Case("one_channel", c=1),
    Case("published_channels", c=32),
    Case("one_texel", h=1, w=1),
    Case("channels_first_in_memory", published_layout=True),
    Case("many_points", n=1, p=3000, h=32, w=20),
]


def values_and_gradients(inputs: tuple[Tensor, Tensor], plane_axes: str, implementation: str) -> dict[str, Tensor]:
    out = sample_planes(*inputs, plane_axes, implementation)  # type: ignore[arg-type]
    torch.manual_seed(1)
    gradients = torch.autograd.grad(out, inputs, torch.randn(out.shape))
    return {"out": out, "features": gradients[0], "coordinates": gradients[1]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cpu_matches_reference(case: Case) -> None:
    inputs = case.inputs()
    expected = values_and_gradients(inputs, case.plane_axes, "reference")
    actual = values_and_gradients(inputs, case.plane_axes, "cpu")
    for name, value in expected.items():
        assert actual[name].shape == value.shape
        # float32 sums in another order: 3e-7 seen.
        assert value.numel() == 0 or relative_error(actual[name], value) < 3e-6, name


@pytest.mark.parametrize(
    "case",
    [Case("odd_sizes", n=3, p=1237, h=11, w=7, c=5), Case("outside", p=701, c=19, spread=1.5)],
    ids=lambda case: case.name,
)
def test_threads_change_nothing(case: Case) -> None:
    def op(features: Tensor, coordinates: Tensor, implementation: str) -> Tensor:
        return sample_planes(features, coordinates, case.plane_axes, implementation)  # type: ignore[arg-type]

    check_threads_change_nothing(op, [t.detach() for t in case.inputs()])


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_plane_gradient_is_the_same_for_any_number_of_threads(threads: int) -> None:
    inputs = CASES[-1].inputs()
    expected = values_and_gradients(inputs, "xy_xz_zx", "cpu")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        actual = values_and_gradients(inputs, "xy_xz_zx", "cpu")
    finally:
        torch.set_num_threads(before)
    for name, value in expected.items():
        assert torch.equal(actual[name], value), name


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_first_letter_runs_along_the_width(implementation: str) -> None:
    features = torch.zeros(1, 3, 4, 8, 1)
    features[0, 1, 0, 7] = 3.0  # plane "xz", first row, last column
    corner = torch.tensor([[[7 / 8, 0.2, -3 / 4]]])  # x at the last column's centre, z at the first row's
    found = sample_planes(features, corner, "yx_xz_zy", implementation)  # type: ignore[arg-type]
    assert found.item() == pytest.approx(1.0)  # the mean of 0, 3, 0


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_nan_coordinates_do_not_crash(implementation: str) -> None:
    features = torch.ones(1, 3, 4, 4, 8)
    points = torch.tensor([[[torch.nan, 0.0, 0.0], [torch.inf, -torch.inf, 0.0], [0.0, 0.0, 0.0]]])
    found = sample_planes(features, points, "xy_xz_zx", implementation)  # type: ignore[arg-type]
    assert torch.allclose(found[0, 2], torch.ones(8))


def test_reference_gradients_agree_with_finite_differences() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 3, 3, 4, 2, dtype=torch.float64, requires_grad=True)
    points = ((torch.rand(2, 5, 3, dtype=torch.float64) - 0.5) * 2.4).requires_grad_()
    assert torch.autograd.gradcheck(lambda f, p: sample_planes(f, p, "xy_xz_zx", "reference"), (features, points))


def test_operators_are_registered_correctly() -> None:
    features, coordinates = Case("opcheck", n=1, p=3, h=4, w=4, c=2).inputs()
    axes = [0, 1, 0, 2, 2, 0]
    torch.library.opcheck(forward, (features, coordinates, axes))
    arguments = (features.detach(), coordinates.detach(), torch.ones(1, 3, 2), axes, [True, False])
    torch.library.opcheck(backward, arguments)


def test_named_cpu_raises_on_what_it_cannot_take() -> None:
    features, coordinates = (t.detach().double() for t in Case("double").inputs())
    with pytest.raises(KernelUnavailableError, match="float64"):
        sample_planes(features, coordinates, "xy_xz_zx", "cpu")
    assert sample_planes(features, coordinates, "xy_xz_zx", "auto").dtype == torch.float64


def test_named_cuda_raises_on_cpu_tensors() -> None:
    with pytest.raises(KernelUnavailableError, match="cuda"):
        sample_planes(*Case("cpu").inputs(), "xy_xz_zx", "cuda")


@pytest.mark.parametrize("plane_axes", ["xy_xz", "xy_xz_zz", "xy_xz_zw", "", "xyxzzx"])
def test_bad_plane_axes_are_named(plane_axes: str) -> None:
    with pytest.raises(ValueError, match="plane_axes"):
        sample_planes(*Case("axes").inputs(), plane_axes)


def test_mismatched_batches_are_named() -> None:
    features, coordinates = Case("batch").inputs()
    unchecked = inspect.unwrap(sample_planes)  # without the type checker that tests run under
    with pytest.raises(ValueError, match="features must be"):
        unchecked(features[:1], coordinates, "xy_xz_zx")
