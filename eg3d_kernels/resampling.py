"""The filter that StyleGAN2 resamples with."""

from __future__ import annotations

BLUR_TAPS = (0.25, 0.75, 0.75, 0.25)
"""[1, 3, 3, 1] / 4: keeps the mean where every other pixel is zero, as after zeros are put between or a stride of 2."""
