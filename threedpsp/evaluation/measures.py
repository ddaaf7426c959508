"""What each figure is called, its unit, which way is better, and how it is measured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..encoder.refine_config import HANDFUL
from ..metrics.identity import SAME_PERSON
from .identity import LOST_FACE

Better = Literal["higher", "lower", ""]
_YAW = r"^(?P<base>.+)_yaw(?P<degrees>[0-9.]+)$"
_SIGNS = {"higher": "↑", "lower": "↓", "": ""}


@dataclass(frozen=True)
class Measure:
    """One kind of figure. words: network and meaning."""

    title: str
    unit: str
    better: Better
    words: str
    digits: int = 3

    @property
    def heading(self) -> str:
        """Title, unit, and an arrow towards the better."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.title}{unit} {_SIGNS[self.better]}".strip()


SAME = f"identity_below_{SAME_PERSON}"

MEASURES: dict[str, Measure] = {
    "l2": Measure("L2", "", "lower", "mean squared error, images in [-1,1]", 4),
    "psnr": Measure("PSNR", "dB", "higher", "over all pixels and channels, peak-to-peak 2", 2),
    "ssim": Measure("SSIM", "", "higher", "11 x 11 Gaussian window, deviation 1.5"),
    "lpips_alex": Measure("LPIPS Alex", "", "lower", "LPIPS v0.1, AlexNet"),
    "lpips_vgg": Measure("LPIPS VGG", "", "lower", "LPIPS v0.1, VGG16"),
    "st_lpips_alex": Measure("ST-LPIPS Alex", "", "lower", "shift-tolerant LPIPS, AlexNet; another scale than LPIPS"),
    "st_lpips_vgg": Measure("ST-LPIPS VGG", "", "lower", "shift-tolerant LPIPS, VGG16; another scale than LPIPS"),
    "dists": Measure("DISTS", "", "lower", "structure and texture of VGG16's maps"),
    "identity": Measure("Identity", "L2", "lower", "distance of dlib ResNet-29's embeddings, at the photo's landmarks"),
    SAME: Measure("Same person", "share", "higher", f"photos whose identity distance is below dlib's {SAME_PERSON}", 2),
    "identity_arcface": Measure("Identity ArcFace", "1 - cos", "lower", "1 - cosine of ArcFace IR-SE50's embeddings"),
    "novel_identity": Measure(
        "Identity, novel views", "L2", "lower", f"as identity, landmarks found in the render; none found: {LOST_FACE}"
    ),
    "novel_identity_arcface": Measure("Identity ArcFace, novel views", "1 - cos", "lower", "as identity_arcface"),
    "pose_error": Measure(
        "Pose error", "degrees", "lower",
        "turn between the camera estimated from the render's landmarks and the render's own; lost faces left out", 2,
    ),
    "depth_error": Measure(
        "Depth error", "% of distance", "lower",
        "points of the photo's view, looked up in the other view's depth: median of visible points"
    ),
    "lost_faces": Measure("Lost faces", "share", "lower", "views, photo's and turned, without a face for MediaPipe", 2),
    "updates": Measure("Updates", "", "", f"of refining or a first likeness; a likeness needs {HANDFUL}", 1),
    "seconds": Measure("Time", "s", "lower", "of inverting (and refining) one photo, without finding its face", 2),
    "peak_memory": Measure("Peak memory", "MB", "lower", "", 0),
    "frechet_vgg": Measure(
        "Fréchet VGG", "", "lower", "not FID: the Fréchet distance of the features of ST-LPIPS (deepest map, averaged)"
    ),
    "kernel_vgg": Measure("Kernel VGG", "", "lower", "not KID: squared MMD, cubic kernel, of the same features", 4),
    "fid": Measure("FID", "", "lower", "pytorch-fid's Inception, pool features; of few photos far larger", 2),
    "kid": Measure("KID", "", "lower", "squared MMD, cubic kernel, of the same features", 4),
}  # fmt: skip


def measure_of(figure: str) -> Measure:
    """What a figure is; names of turned views end in _yaw and degrees."""
    turned = re.match(_YAW, figure)
    base = MEASURES.get(turned["base"] if turned else figure)
    if base is None:
        return Measure(figure, "", "", "")
    if turned is None:
        return base
    return Measure(f"{base.title} at ±{turned['degrees']}°", base.unit, base.better, base.words, base.digits)


def place_of(figure: str) -> int:
    """Where it stands in tables."""
    turned = re.match(_YAW, figure)
    order = list(MEASURES)
    base = turned["base"] if turned else figure
    return order.index(base) if base in order else len(order)


def at_yaw(figure: str, degrees: float) -> str:
    """The name of a figure at views turned by so much."""
    return f"{figure}_yaw{degrees:g}"


def yaw_of(figure: str) -> float | None:
    """Degrees in the name of a figure; None: the photo's own view."""
    turned = re.match(_YAW, figure)
    return float(turned["degrees"]) if turned else None
