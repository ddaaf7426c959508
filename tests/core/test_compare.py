"""Pictures against photos: the same picture is perfect, a worse one is worse, another person is told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from skimage import data

import threedpsp
from threedpsp.errors import InputError
from threedpsp.types import FaceCrop

OTHER = Path(__file__).parents[2] / "nodes" / "example_photos" / "threedpsp_face_8.jpg"


@pytest.fixture(scope="module")
def crop() -> FaceCrop:
    return threedpsp.align([data.astronaut(), OTHER], size=256)


def test_the_photo_itself_is_perfect_and_noise_is_worse(crop: FaceCrop):
    noise = torch.randn(crop.image.shape, generator=torch.Generator().manual_seed(0))
    perfect = threedpsp.compare(crop, crop.image).means
    noisy = threedpsp.compare(crop, crop.image + 0.2 * noise).means
    assert perfect["psnr"] == pytest.approx(100) and perfect["ssim"] == pytest.approx(1)
    assert perfect["lpips"] == pytest.approx(0, abs=1e-6) and perfect["identity"] == pytest.approx(0, abs=1e-5)
    assert noisy["psnr"] < 25 and noisy["ssim"] < 0.8 and noisy["lpips"] > 0.05 and noisy["identity"] > 0.1


def test_another_person_is_called_so(crop: FaceCrop):
    swapped = threedpsp.compare(crop, crop.image.flip(0))
    assert swapped.means["identity"] > 0.6
    text = swapped.to_markdown()
    assert "another person" in text and text.splitlines()[-1].startswith("| mean |")
    assert tuple(swapped.side_by_side.shape) == (2, 3, 256, 512)


def test_pictures_may_be_of_another_size(crop: FaceCrop):
    small = torch.nn.functional.adaptive_avg_pool2d(crop.image, 128)
    assert threedpsp.compare(crop, small).means["psnr"] == pytest.approx(100)


def test_what_does_not_fit_is_refused(crop: FaceCrop):
    with pytest.raises(InputError, match="2 photos and 1 pictures"):
        threedpsp.compare(crop, crop.image[:1])
    with pytest.raises(InputError, match="square"):
        threedpsp.compare(crop, crop.image[:, :, :100])
    with pytest.raises(InputError, match="landmarks"):
        threedpsp.compare(FaceCrop(crop.image, crop.camera), crop.image)
