"""Ray rendering: the compiled op against the plain one, and properties that hold for both."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from eg3d_kernels import PlaneMLP, RayOutputs, render_rays
from eg3d_kernels.cpu.render_rays import backward, forward
from eg3d_kernels.depths import box_bounds
from tests.golden import relative_error
from tests.kernels.agreement import check_threads_change_nothing

IMPLEMENTATIONS = ["reference", "cpu"]


@dataclass(frozen=True)
class Case:
    name: str
    n: int = 2
    m: int = 30
    size: tuple[int, int] = (12, 9)
    c: int = 16
    hidden: int = 32
    colors: int = 16
    coarse: int = 20
    fine: int = 20
    bounds: tuple[float, float] | None = (2.0, 3.4)
    box_warp: float = 0.9
    disparity: bool = False
    white_back: bool = False
    random: bool = True
    """Random jitter and u; otherwise the op's own mid-points."""
    density: float = 4.0
    """Scale of the raw density."""
    spread: float = 0.2
    """Of the rays' directions about the one through the origin."""
    plane_axes: str = "xy_xz_zy"
    clip_to_box: bool = False

    def inputs(self, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
        torch.manual_seed(0)

        def normal(*shape: int, scale: float = 1.0) -> Tensor:
            return (torch.randn(*shape) * scale).to(dtype)

        w1 = normal(1 + self.colors, self.hidden, scale=2 / math.sqrt(self.hidden))
        w1[0] *= self.density
        aim = torch.tensor([0.0, 0.0, -1.0], dtype=dtype)
        ends = self.bounds or ("auto", "auto")
        return {
            "features": normal(self.n, 3, *self.size, self.c),
            "plane_axes": self.plane_axes,
            "mlp": PlaneMLP(
                normal(self.hidden, self.c, scale=2 / math.sqrt(self.c)),
                normal(self.hidden, scale=0.1),
                w1,
                normal(1 + self.colors, scale=0.1),
            ),
            "origins": torch.tensor([0.1, -0.05, 2.7], dtype=dtype).expand(self.n, self.m, 3),
            # As the ray sampler makes them: not contiguous.
            "directions": normalize(aim[:, None] + normal(self.n, 3, self.m, scale=self.spread), dim=1).transpose(1, 2),
            "ray_start": ends[0],
            "ray_end": ends[1],
            "box_warp": self.box_warp,
            "depth_resolution": self.coarse,
            "depth_resolution_importance": self.fine,
            "disparity_space_sampling": self.disparity,
            "white_back": self.white_back,
            "clip_to_box": self.clip_to_box,
            "jitter": torch.rand(self.n, self.m, self.coarse).to(dtype) if self.random else None,
            "u": torch.rand(self.n, self.m, self.fine).to(dtype) if self.random and self.fine else None,
        }


CASES = [
    Case("training"),
    Case("published", c=32, hidden=64, colors=32, coarse=48, fine=48, plane_axes="xy_xz_zx"),
    Case("mid_points", random=False),
    Case("disparity", disparity=True),
    Case("white_back", white_back=True),
    Case("coarse_only", fine=0),
    Case("automatic_bounds", bounds=None),
    Case("automatic_bounds_with_misses", bounds=None, spread=0.4, box_warp=0.5),
    Case("all_rays_miss", bounds=None, box_warp=1e-3),
    Case("clipped_to_the_box", clip_to_box=True),
    Case("clipped_with_misses", clip_to_box=True, spread=0.4, box_warp=0.5),
    Case("odd_sizes", c=5, hidden=7, colors=3, coarse=9, fine=6, m=11),
    Case("density_only_beside_one_color", colors=1, hidden=1, c=1),
    Case("wide", hidden=130, colors=70, c=40, m=5),
    Case("two_samples", coarse=2, fine=0),
    Case("four_samples_and_one", coarse=4, fine=1),
    Case("more_samples_than_a_block", coarse=200, fine=90, m=3),
    Case("opaque", density=15.0),
    Case("one_ray", n=1, m=1),
    Case("no_rays", m=0),
    Case("no_images", n=0),
    Case("many_images", n=9, m=7),
]


def differentiable(inputs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The inputs, and the tensors of them that have a gradient."""
    mlp = PlaneMLP(*(t.clone().requires_grad_() for t in inputs["mlp"]))
    others = {name: inputs[name].clone().requires_grad_() for name in ("features", "origins", "directions")}
    return {**inputs, **others, "mlp": mlp}, {**others, **mlp._asdict()}


def clamped_depth(out: RayOutputs) -> Tensor:
    if not out.depth.numel():
        return out.depth
    return out.depth.clamp(out.depth_min.min(), out.depth_max.max())


def values_and_gradients(
    inputs: dict[str, Any], implementation: str
) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    """Outputs, and for each the gradients of a random scalar of it."""
    inputs, variables = differentiable(inputs)
    out = render_rays(**inputs, implementation=implementation)  # type: ignore[arg-type]
    torch.manual_seed(1)
    gradients = {}
    for name, value in {"features": out.features, "depth": clamped_depth(out), "opacity": out.opacity}.items():
        scalar = (value * torch.randn(value.shape)).sum()
        found = torch.autograd.grad(scalar, list(variables.values()), retain_graph=True)
        gradients[name] = dict(zip(variables, found, strict=True))
    return {name: value.detach() for name, value in out._asdict().items()}, gradients


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cpu_matches_reference(case: Case) -> None:
    """The reference runs in float64, so that only the rounding of the compiled op counts."""
    expected, expected_gradients = values_and_gradients(case.inputs(torch.float64), "reference")
    actual, gradients = values_and_gradients(case.inputs(), "cpu")
    for name, value in expected.items():
        assert actual[name].shape == value.shape
        met = value.isfinite()
        assert torch.equal(actual[name].isfinite(), met), name
        # 3e-6 seen, as much as the reference itself in float32.
        assert not met.any() or relative_error(actual[name][met].double(), value[met]) < 1e-5, name
    if not actual["opacity"].numel():
        return
    for output, of_output in expected_gradients.items():
        for name, value in of_output.items():
            # 4e-5 of the largest seen ("opaque": density times delta is large, so is its rounding error). The second
            # part is for depth, whose gradients cancel where a ray is uniform (in "two_samples" they are 0).
            largest = max(g[name].abs().max() for g in expected_gradients.values())
            error = (gradients[output][name] - value).abs().max()
            assert error <= 1e-4 * value.abs().max() + 1e-5 * largest, (output, name)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [1, 3])
def test_any_number_of_threads_gives_the_same_within_rounding(n: int, threads: int) -> None:
    inputs = Case("threads", n=n, m=70).inputs()
    expected, expected_gradients = values_and_gradients(inputs, "reference")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        actual, gradients = values_and_gradients(inputs, "cpu")
        _, again = values_and_gradients(inputs, "cpu")
    finally:
        torch.set_num_threads(before)
    assert relative_error(actual["features"], expected["features"]) < 1e-5
    for output, of_output in expected_gradients.items():
        for name, value in of_output.items():
            assert relative_error(gradients[output][name], value) < 1e-4, (output, name)
            assert torch.equal(gradients[output][name], again[output][name]), (output, name)


ODD = Case("odd_threads", n=3, m=41, size=(11, 7), c=5, hidden=7, colors=3, coarse=9, fine=6)
"""Several blocks of rays an image, the last of them not full; no size a multiple of a vector's."""


@pytest.mark.parametrize("field", RayOutputs._fields)
@pytest.mark.parametrize("case", [ODD, Case("coarse_only", m=41, fine=0)], ids=lambda case: case.name)
def test_threads_change_nothing(case: Case, field: str) -> None:
    inputs = case.inputs()

    def op(features: Tensor, implementation: str) -> Tensor:
        out = render_rays(**{**inputs, "features": features}, implementation=implementation)  # type: ignore[arg-type]
        return out._asdict()[field]

    check_threads_change_nothing(op, [inputs["features"]])


@pytest.mark.parametrize("wanted", [["features"], ["mlp"], ["origins"], ["directions", "features"]])
def test_gradients_that_are_not_wanted_change_nothing(wanted: list[str]) -> None:
    inputs = Case("wanted").inputs()
    everything, variables = differentiable(inputs)
    out = render_rays(**everything, implementation="cpu")
    expected = dict(zip(variables, torch.autograd.grad(out.features.sum(), list(variables.values())), strict=True))
    some = {**inputs, **{name: everything[name] for name in wanted}}
    names = [part for name in wanted for part in (PlaneMLP._fields if name == "mlp" else [name])]
    out = render_rays(**some, implementation="cpu")
    for name, found in zip(names, torch.autograd.grad(out.features.sum(), [variables[n] for n in names]), strict=True):
        assert torch.equal(found, expected[name]), name


def test_ray_gradients_agree_with_finite_differences() -> None:
    case = Case("rays", n=1, m=3, c=3, hidden=4, colors=2, coarse=6, fine=0, density=1.0)
    inputs = case.inputs(torch.float64)
    inputs["box_warp"] = 4.0  # every sample inside the planes
    rays = [inputs.pop(name).clone().requires_grad_() for name in ("origins", "directions")]

    def features(origins: Tensor, directions: Tensor) -> Tensor:
        return render_rays(**inputs, origins=origins, directions=directions, implementation="reference").features

    assert torch.autograd.gradcheck(features, rays)


@pytest.mark.parametrize("coarse", [5, 20, 48])
@pytest.mark.parametrize("fine", [0, 20])
def test_leaving_out_what_little_light_reaches_keeps_colors(coarse: int, fine: int) -> None:
    inputs = Case("dark", m=70, density=15.0, coarse=coarse, fine=fine).inputs()
    exact = render_rays(**inputs, implementation="cpu")
    for cutoff in (1e-5, 1e-2):
        fast = render_rays(**inputs, min_transmittance=cutoff, implementation="cpu")
        assert (fast.opacity - exact.opacity).abs().max() <= 2 * cutoff
        assert (fast.features - exact.features).abs().max() <= 4 * cutoff  # from -1 to 1; a little from moved samples


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_an_empty_ray_has_infinite_depth_and_finite_gradients(implementation: str) -> None:
    inputs, variables = differentiable(Case("empty", density=0.0).inputs())
    with torch.no_grad():
        inputs["mlp"].b1[0] = -200.0
    out = render_rays(**inputs, implementation=implementation)  # type: ignore[arg-type]
    assert (out.opacity == 0).all()
    assert (out.depth == torch.inf).all()
    scalar = out.features.sum() + clamped_depth(out).sum() + out.opacity.sum()
    assert all(g.isfinite().all() for g in torch.autograd.grad(scalar, list(variables.values())))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_opacity_and_depth_stay_in_their_ranges(implementation: str) -> None:
    out = render_rays(**Case("ranges", m=200).inputs(), implementation=implementation)  # type: ignore[arg-type]
    assert out.opacity.min() >= 0
    assert out.opacity.max() <= 1 + 1e-5
    assert (out.depth >= out.depth_min - 1e-5).all()
    assert (out.depth <= out.depth_max + 1e-5).all()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_permuting_the_rays_permutes_the_pixels(implementation: str) -> None:
    inputs = Case("permuted").inputs()
    order = torch.randperm(30)
    permuted = {**inputs, **{name: inputs[name][:, order] for name in ("origins", "directions", "jitter", "u")}}
    out = render_rays(**inputs, implementation=implementation)  # type: ignore[arg-type]
    out_permuted = render_rays(**permuted, implementation=implementation)  # type: ignore[arg-type]
    assert relative_error(out_permuted.features, out.features[:, order]) < 1e-6


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_nan_planes_give_nan_and_do_not_crash(implementation: str) -> None:
    inputs = Case("nan").inputs()
    inputs["features"] = torch.full_like(inputs["features"], torch.nan)
    assert render_rays(**inputs, implementation=implementation).features.isnan().any()  # type: ignore[arg-type]


def test_bounds_of_a_ray_through_the_box() -> None:
    origins = torch.tensor([[[0.0, 0.0, 2.0], [0.1, 0.1, 2.0], [5.0, 0.0, 2.0]]])
    directions = torch.tensor([[[0.0, 0.0, -1.0], [0.0, 0.0, -1.0], [0.0, 0.0, -1.0]]])
    near, far = box_bounds(origins, directions, 1.0)
    assert near[0, :, 0].tolist() == pytest.approx([1.5, 1.5, 1.5])
    assert far[0, :, 0].tolist() == pytest.approx([2.5, 2.5, 1.5])  # the third misses: the farthest entry


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_nothing_is_seen_outside_the_box_where_rays_are_clipped_to_it(implementation: str) -> None:
    """The third ray runs beside the box, at an x where the plane of z and y goes on."""
    inputs = Case("beside", n=1, m=3, random=False).inputs()
    inputs["origins"] = torch.tensor([[[0.0, 0.0, 2.7], [0.3, 0.1, 2.7], [0.5, 0.0, 2.7]]])
    inputs["directions"] = torch.tensor([0.0, 0.0, -1.0]).expand(1, 3, 3)
    free, clipped = (
        render_rays(**{**inputs, "clip_to_box": clip}, implementation=implementation)  # type: ignore[arg-type]
        for clip in (False, True)
    )
    assert free.opacity[0, 2] > 0.1
    assert clipped.opacity[0, 2] == 0
    assert (clipped.opacity[0, :2] > 0.1).all()
    step = 0.9 / (Case.coarse - 1) / 2  # mid-points lie half a stratum past its start
    assert (clipped.depth_min[0, :2] >= 2.25 - 1e-5).all() and (clipped.depth_max[0, :2] <= 3.15 + step + 1e-5).all()


def test_operators_are_registered_correctly() -> None:
    inputs = Case("opcheck", n=1, m=3, c=2, hidden=3, colors=2, coarse=5, fine=4).inputs()
    inputs, _ = differentiable(inputs)
    depths = torch.linspace(2.0, 3.4, 5).expand(1, 3, 5)
    rays = (inputs["origins"], inputs["directions"], depths)
    arguments = (inputs["features"], *inputs["mlp"], *rays, inputs["u"], [0, 1, 0, 2, 2, 1], 0.9, True, 0.0)
    torch.library.opcheck(forward, arguments)
    detached = [t.detach() if isinstance(t, Tensor) else t for t in arguments]
    gradients = (torch.ones(1, 3, 2), torch.ones(1, 3), torch.ones(1, 3), [True, False, True])
    torch.library.opcheck(backward, (*detached, *gradients))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ray_end": "auto"}, "both numbers, or both 'auto'"),
        ({"ray_start": 3.5}, "ray_start must be less"),
        ({"min_transmittance": 1.5}, "min_transmittance must be at least 0 and below 1; got 1.5"),
        ({"depth_resolution": 3, "jitter": None}, "depth_resolution must be at least 4"),
        ({"jitter": torch.rand(2, 30, 7)}, r"jitter must be \[2, 30, 20\]; got \[2, 30, 7\]"),
        ({"u": torch.rand(2, 30, 7)}, r"u must be"),
        ({"directions": torch.zeros(2, 29, 3)}, "directions must be"),
        ({"features": torch.zeros(2, 4, 8, 8, 16)}, "features must be"),
        ({"plane_axes": "xyz"}, "plane_axes"),
        ({"features": torch.zeros(2, 3, 8, 8, 4)}, "w0 must be"),
        ({"box_warp": 0.0}, "box_warp must be positive"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    unchecked = inspect.unwrap(render_rays)  # without the type checker that tests run under
    with pytest.raises(ValueError, match=message):
        unchecked(**{**Case("bad").inputs(), **change})
