"""The dlib identity network and its chips against dlib itself (tests/data/metrics_dlib.safetensors)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from skimage.data import astronaut
from torch import Tensor

from tests.golden import load_golden
from threedpsp.errors import InputError, WeightsError
from threedpsp.metrics import DlibIdentity, identity_chip, identity_distance
from threedpsp.metrics.dlib_file import encode_integer, read_tensors
from threedpsp.metrics.face_chip import FIVE_POINTS, chip_template, fit_similarity
from threedpsp.metrics.identity import SAME_PERSON, shared_network


@pytest.fixture(scope="module")
def network() -> DlibIdentity:
    return shared_network("cpu")


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return torch.from_numpy(astronaut()).permute(2, 0, 1)[None].float() / 127.5 - 1


@pytest.fixture(scope="module")
def landmarks() -> Tensor:
    """[1,478,2] with the five points that dlib was given (it counts from pixel centres); the others are zero."""
    tensors, _ = load_golden("metrics_dlib")
    points = torch.zeros(1, 478, 2)
    points[0, list(FIVE_POINTS)] = tensors["points_of_dlib"].float() + 0.5
    return points


def test_embedding_of_a_chip_equals_dlib(network: DlibIdentity) -> None:
    tensors, _ = load_golden("metrics_dlib")
    embedding = network(tensors["chip_u8"].permute(2, 0, 1)[None].float())
    # float32 through 29 convolutions, affine layers folded in; the worst seen on seven faces is 4e-7
    assert (embedding[0] - tensors["descriptor"]).abs().max() < 4e-6


def test_chips_are_cut_where_dlib_cuts_them(photo: Tensor, landmarks: Tensor, network: DlibIdentity) -> None:
    tensors, _ = load_golden("metrics_dlib")
    chip = identity_chip(photo, landmarks)
    expected = tensors["chip_u8"].permute(2, 0, 1).float()
    # dlib rounds to whole grey levels and interpolates beside our samples: .9 levels here; half a pixel off is 3 to 5
    assert (chip[0] - expected).abs().mean() < 1.5
    assert (network(chip)[0] - tensors["descriptor"]).norm() < 0.03  # seen: .012; the same person is below .6


@pytest.mark.parametrize("scale", [0.75, 2.0, 3.0])
def test_identity_does_not_depend_on_resolution(photo: Tensor, landmarks: Tensor, scale: float) -> None:
    face = photo[:, :, :256, 96:352]
    at_face = landmarks - torch.tensor([96.0, 0.0])
    resized = F.interpolate(face, scale_factor=scale, mode="bicubic", antialias=True)
    # landmarks are taken over, scaled with the image; seen: .04 to .1, most where detail is lost
    assert identity_distance(face, resized, at_face) < 0.15


def test_identity_does_not_depend_on_place_and_tilt(photo: Tensor, landmarks: Tensor) -> None:
    turned = photo.rot90(1, dims=(2, 3))  # counter-clockwise: (x, y) -> (y, width - x)
    points = torch.stack([landmarks[..., 1], photo.shape[3] - landmarks[..., 0]], -1)
    assert identity_distance(photo, turned, landmarks, points) < 0.02
    moved = photo.roll(20, dims=3)
    assert identity_distance(photo, moved, landmarks, landmarks + torch.tensor([20.0, 0.0])) < 0.02


def test_a_mirrored_face_is_the_same_person_and_noise_is_not(photo: Tensor, landmarks: Tensor) -> None:
    mirrored = torch.zeros_like(landmarks)
    left_right = [FIVE_POINTS[i] for i in (2, 3, 0, 1, 4)]
    mirrored[:, list(FIVE_POINTS)] = landmarks[:, left_right] * torch.tensor([-1.0, 1.0]) + torch.tensor([512.0, 0.0])
    assert identity_distance(photo, photo.flip(3), landmarks, mirrored) < 0.35  # seen: .17 on average, .27 at most
    assert identity_distance(photo, torch.rand_like(photo) * 2 - 1, landmarks) > SAME_PERSON


def test_distance_has_a_finite_gradient_also_at_zero(photo: Tensor, landmarks: Tensor) -> None:
    x = photo.clone().requires_grad_()
    identity_distance(x, photo.flip(2), landmarks).sum().backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0
    x = photo.clone().requires_grad_()
    identity_distance(x, photo, landmarks).sum().backward()
    assert x.grad.isfinite().all()


def test_chips_of_a_batch_are_independent(photo: Tensor, landmarks: Tensor) -> None:
    pair = torch.cat([photo, photo.flip(2)])
    points = torch.cat([landmarks, landmarks * 0.5 + 100])
    together = identity_chip(pair, points)
    for i in range(2):
        assert torch.equal(together[i : i + 1], identity_chip(pair[i : i + 1], points[i : i + 1]))
    assert identity_chip(photo[:0], landmarks[:0]).shape == (0, 3, 150, 150)


def test_chips_are_differentiable_in_the_image(landmarks: Tensor) -> None:
    image = torch.rand(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    points = landmarks.double() / 64
    assert torch.autograd.gradcheck(lambda x: identity_chip(x, points, 6) / 255, image, fast_mode=True)


def test_similarity_is_found_exactly() -> None:
    source = torch.randn(2, 5, 2, dtype=torch.float64)
    angle = torch.tensor([0.3, -2.0], dtype=torch.float64)
    matrix = torch.stack(
        [torch.stack([angle.cos(), -angle.sin()], 1), torch.stack([angle.sin(), angle.cos()], 1)], 1
    ) * torch.tensor([0.5, 3.0], dtype=torch.float64).view(2, 1, 1)
    shift = torch.tensor([[1.0, 2.0], [-3.0, 4.0]], dtype=torch.float64)
    found, found_shift = fit_similarity(source, source @ matrix.mT + shift[:, None])
    assert torch.allclose(found, matrix) and torch.allclose(found_shift, shift)


def test_template_lies_inside_the_chip() -> None:
    assert (chip_template() > 150 / 6).all() and (chip_template() < 150 * 5 / 6).all()


def test_points_that_coincide_are_refused(photo: Tensor) -> None:
    with pytest.raises(InputError, match="coincide"):
        identity_chip(photo, torch.zeros(1, 478, 2))
    with pytest.raises(InputError, match="468 or 478"):
        identity_chip(photo, torch.zeros(1, 5, 2))


def test_dlib_integers_are_one_count_byte_then_little_endian() -> None:
    assert encode_integer(0) == b"\x01\x00"
    assert encode_integer(2) == b"\x01\x02"
    assert encode_integer(4736) == b"\x02\x80\x12"


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.dat").write_bytes(b"\x01\x02\x01\x04\x01\x01\x01\x01\x01\x01" + bytes(8))
    with pytest.raises(WeightsError, match="tensor 1 of 1, 4 x 1 numbers"):
        read_tensors(tmp_path / "cut.dat", [(4, 1)])
    with pytest.raises(WeightsError, match="No such file"):
        read_tensors(tmp_path / "none.dat", [(4, 1)])
