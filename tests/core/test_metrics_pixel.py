"""L2, PSNR and SSIM against scikit-image and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from threedpsp.errors import InputError
from threedpsp.metrics import l2, psnr, ssim


def photo_pair() -> tuple[Tensor, Tensor]:
    """Two different parts of a photo [2,3,96,80] and noisy copies, float64, in [-1,1]."""
    photo = torch.from_numpy(astronaut()).permute(2, 0, 1).double() / 127.5 - 1
    clean = torch.stack([photo[:, :96, 150:230], photo[:, 200:296, 150:230]])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * 0.2
    return clean, (clean + noise).clamp(-1, 1)


def test_ssim_and_psnr_equal_scikit_image() -> None:
    clean, noisy = photo_pair()
    for i in range(2):
        a, b = clean[i].permute(1, 2, 0).numpy(), noisy[i].permute(1, 2, 0).numpy()
        expected = structural_similarity(
            a, b, data_range=2.0, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        # both in float64: only the order of the sums differs
        assert abs(ssim(clean, noisy)[i].item() - expected) < 1e-12
        assert abs(psnr(clean, noisy)[i].item() - peak_signal_noise_ratio(a, b, data_range=2.0)) < 1e-10


def test_a_difference_of_one_fifth_of_the_range_is_14_db() -> None:
    black = torch.full((2, 3, 16, 16), -1.0)
    assert torch.allclose(l2(black, black + 0.4), torch.tensor(0.16))
    assert torch.allclose(psnr(black, black + 0.4), torch.tensor(20 * math.log10(5)), atol=1e-4)


def test_equal_images_are_perfect_and_finite() -> None:
    clean, _ = photo_pair()
    assert torch.equal(l2(clean, clean), torch.zeros(2, dtype=torch.float64))
    assert torch.allclose(psnr(clean, clean), torch.tensor(100.0, dtype=torch.float64))
    assert torch.allclose(ssim(clean, clean), torch.ones(2, dtype=torch.float64))


def test_each_image_has_its_own_number() -> None:
    clean, noisy = photo_pair()
    noisy = torch.stack([noisy[0], clean[1]])
    for metric in (l2, psnr, ssim):
        both = metric(clean, noisy)
        assert both.shape == (2,)
        assert both[0] == metric(clean[:1], noisy[:1])[0]
        assert both[0] != both[1]


@pytest.mark.parametrize("metric", [l2, psnr, ssim])
def test_gradient_is_that_of_finite_differences(metric) -> None:  # noqa: ANN001
    clean, noisy = photo_pair()
    clean, noisy = clean[:1, :, :13, :12], noisy[:1, :, :13, :12]
    assert torch.autograd.gradcheck(lambda x: metric(x, clean), noisy.clone().requires_grad_(), fast_mode=True)


def test_images_smaller_than_the_window_are_refused() -> None:
    with pytest.raises(InputError, match="at least 11x11 pixels; got .10, 20"):
        ssim(torch.zeros(1, 3, 10, 20), torch.zeros(1, 3, 10, 20))
