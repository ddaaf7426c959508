"""The five points, EG3D's crop against recorded pixels, and what the crop does at the photo's border."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden import load_golden
from threedpsp.errors import InputError
from threedpsp.preprocessing.align import (
    DEEP3D_RESCALE,
    DEEP3D_TARGET,
    TEMPLATE,
    apply_affine,
    crop_face,
    fit_template,
)

FIVE = np.array([[250.0, 200.0], [340.0, 196.0], [300.0, 250.0], [262.0, 300.0], [335.0, 297.0]])


def golden_part() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The recorded photo (only the pixels under the recorded blocks are there, the rest is black), and the rest."""
    tensors, _ = load_golden("align_crop_part")
    part = {name: value.numpy() for name, value in tensors.items()}
    flat = np.zeros((480 * 640, 3), np.uint8)
    values = iter(np.split(part["image_values"], np.cumsum(np.diff(part["image_runs"], axis=1))))
    for begin, end in part["image_runs"]:
        flat[begin:end] = next(values)
    return flat.reshape(480, 640, 3), part


@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize("name", ["crop512", "deep3d224"])
def test_crop_gives_the_recorded_pixels(name: str, case: int) -> None:
    image, part = golden_part()
    options = {} if name == "crop512" else {"target": DEEP3D_TARGET, "rescale": DEEP3D_RESCALE, "centre": None}
    crop, _ = crop_face(image, part["landmarks5_xy"][case], **options)
    expected = part[f"{name}_block_{case}"]
    x, y = part[f"{name}_block_{case}_xy"]
    actual = crop[y : y + expected.shape[0], x : x + expected.shape[1]]
    # equal with the Pillow it was recorded with; other versions round differently, by 1
    assert np.abs(actual.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("case", [0, 1])
def test_fit_gives_the_recorded_parameters(case: int) -> None:
    _, part = golden_part()
    scale, origin = fit_template(part["landmarks5_xy"][case], 480, 300.0)
    np.testing.assert_allclose([scale, *origin], part["trans_params_1024"][case][2:], rtol=1e-6)  # float32 template
    np.testing.assert_allclose(TEMPLATE, part["template5"], atol=1e-7)


def test_partial_resize_equals_the_whole_one_within_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    exact, matrix = crop_face(image, FIVE)
    monkeypatch.setattr("threedpsp.preprocessing.align.EXACT_UP_TO", 0)
    partial, same_matrix = crop_face(image, FIVE)
    np.testing.assert_array_equal(matrix, same_matrix)
    assert np.abs(exact.astype(int) - partial).max() <= 2  # Pillow keeps the box in float32
    assert (exact != partial).mean() < 0.01


@pytest.mark.parametrize("border", ["black", "mirror"])
def test_source_to_crop_says_where_a_pixel_went(border: str) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[260:266, 310:316] = 255
    crop, matrix = crop_face(image, FIVE, border=border)
    expected = apply_affine(matrix, np.array([313.0, 263.0]))  # the patch's middle, 0 = the first pixel's edge
    weight = crop[..., 0].astype(float)
    rows, columns = np.mgrid[:512, :512] + 0.5
    middle = [(columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()]
    np.testing.assert_allclose(middle, expected, atol=0.3)


def test_size_scales_the_crop_and_its_matrix() -> None:
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    _, large = crop_face(image, FIVE, 512)
    crop, small = crop_face(image, FIVE, 128)
    assert crop.shape == (128, 128, 3)
    np.testing.assert_allclose(small, large / 4)


@pytest.mark.parametrize("scale", [1.0, 0.2, 6.0], ids=["face at its size", "small face", "large face"])
def test_mirrored_border_equals_the_black_one_inside_and_reflects_outside(scale: float) -> None:
    rng = np.random.default_rng(1)
    height, width = int(130 * scale), int(120 * scale)
    coarse = rng.integers(0, 256, (7, 7, 3)).astype(np.uint8)
    image = np.kron(coarse, np.ones((height // 7 + 1, width // 7 + 1, 1), np.uint8))[:height, :width]
    five = (FIVE - [230, 180]) * scale  # the crop reaches beyond the photo on all sides
    black, matrix = crop_face(image, five, border="black")
    mirror, _ = crop_face(image, five, border="mirror")
    (left, top), (right, bottom) = apply_affine(matrix, np.array([[0.0, 0.0], [width, height]]))
    assert left > 8 and top > 8 and right < 504 and bottom < 504
    inside = np.s_[int(top) + 9 : int(bottom) - 9, int(left) + 9 : int(right) - 9]
    assert np.abs(mirror[inside].astype(int) - black[inside]).max() <= 3
    assert not black[: int(top) - 4].any() and not black[:, int(right) + 5 :].any()
    # the columns before the left edge are those after it, in reverse
    edge = round(left)
    outside, folded = mirror[inside[0], edge - 8 : edge].astype(int), mirror[inside[0], edge : edge + 8][:, ::-1]
    assert np.abs(outside - folded).mean() < 6  # the edge lies between pixels: shifted by half a pixel at most


def test_points_that_coincide_or_miss_the_photo_are_refused() -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(InputError, match="coincide"):
        crop_face(image, np.full((5, 2), 10.0))
    with pytest.raises(InputError, match="outside"):
        crop_face(image, FIVE + 10000)
