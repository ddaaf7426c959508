"""Uncertainty of the flip: how far a photo and its mirror image disagree about the face. Larger = less sure.

Scale and meaning are those of unsup3d's ConfNet: sqrt(2) times the absolute colour error, images in [-1,1], that is to
be expected where the mirror image of the head is compared with the photo. The map lies on the **flipped** photo, where
the mirror loss needs it (its error is divided by 1 + it). ConfNet itself can be given as the backend.

The built-in estimate needs no weights. Three errors, independent of each other, are added in quadrature:
- noise;
- asymmetry (light, hair, expression): the difference between the colour seen at a surface point and at its mirror twin,
  which the landmarks lead to; where the twin cannot be seen, the mean of the points where it can;
- misplacement: the image's slope times half a pixel of a 64-pixel map, more where the surface is seen at a slant.
Off the face the twin is only roughly known, so there colours are compared coarsely, and misplacement is larger.
"""

from __future__ import annotations

import io
import math
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..camera import Camera
from ..errors import InputError
from ..output import atomic_write
from ..threads import as_many_threads_as_pay
from .confnet import STORED_SIDE, ConfNet
from .face_view import MESH_POINTS, FaceView, face_mesh, pixel_centres, sample, view_face

SigmaBackend = Literal["builtin"] | ConfNet
"""Where the uncertainty comes from: our own estimate, or unsup3d's network."""
SIDE = 64  # of the built-in estimate, as of ConfNet's; lengths below are in its pixels
NOISE = 0.05  # of colours in [-1,1]
MISPLACED_ON_FACE, MISPLACED_OFF_FACE = 0.5, 1.5
SMALLEST_COSINE = 0.15
TRUSTED_COSINE = 0.5  # a surface seen steeper than this shows its colour well
COMPARED_ON_FACE, COMPARED_OFF_FACE = 1.5, 4.0  # standard deviation of the blur before colours are compared
SMOOTHED = 1.5  # standard deviation of the blur of the result


@as_many_threads_as_pay()
@torch.no_grad()
def estimate_mirror_sigma(
    image: Float[Tensor, "n 3 r r"],
    landmarks: Float[Tensor, "n p 2"],
    camera: Camera,
    backend: SigmaBackend = "builtin",
) -> Float[Tensor, "n r r"]:
    """Uncertainty of the flip, lying on the flipped photo.

    Args:
        image: crops in [-1,1].
        landmarks: [N,478,2] (or 468), MediaPipe's, in crop pixels; ConfNet does not look at them.
        camera: the crops' cameras; ConfNet does not look at them.
        backend: "builtin", or unsup3d's network.

    Raises:
        InputError: shapes do not fit together, or landmarks are not finite.
    """
    if image.ndim != 4 or image.shape[1] != 3 or image.shape[2] != image.shape[3]:
        raise InputError(f"The uncertainty of the flip needs square crops [N,3,R,R]; got {list(image.shape)}.")
    side = image.shape[3]
    if isinstance(backend, ConfNet):
        return _stored_to_mirror(backend.stored_map(image), side)
    if backend != "builtin":
        raise InputError(f"The uncertainty of the flip comes from 'builtin' or from a ConfNet; got {backend!r}.")
    if landmarks.shape[0] != image.shape[0] or landmarks.shape[1] < MESH_POINTS or not landmarks.isfinite().all():
        raise InputError(
            f"The uncertainty of the flip needs MediaPipe's points [N,478,2], finite, for each of the {len(image)} "
            f"crops; got {list(landmarks.shape)}."
        )
    cameras = camera.expand(len(image))
    points = landmarks[:, :MESH_POINTS].to(image) / side
    small = F.interpolate(image, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    maps = [_on_photo(small[i], points[i], cameras[i]) for i in range(len(image))]
    sigma = torch.stack(maps) if maps else image.new_zeros(0, SIDE, SIDE)
    return _resize(sigma, side).flip(2)


def save_conf_map(path: str | Path, mirror_sigma: Float[Tensor, "r r"]) -> None:
    """Write one uncertainty as unsup3d stores it: .npy, float32 [256,256], lying on the photo before the flip.

    Raises:
        OutputError: the file cannot be written.
    """
    save_stored_map(path, _resize(mirror_sigma.detach().float().cpu()[None].flip(2), STORED_SIDE)[0])


def save_stored_map(path: str | Path, stored: Float[Tensor, "256 256"]) -> None:
    """Write what `ConfNet.stored_map` made of one photo, number for number.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_write(path, durable=False) as temporary, open(temporary, "wb") as file:
        np.save(file, stored.detach().float().cpu().numpy())


def load_conf_map(path: str | Path, side: int = 512, content: bytes | None = None) -> Float[Tensor, "r r"]:
    """Read an uncertainty that unsup3d or `save_conf_map` stored, so that it lies on the flipped photo.

    As published: enlarged to 512 by cubic splines, then flipped; another `side` is resized from that.

    Args:
        path: the file; with `content` only its name in messages.
        side: of the result, pixels.
        content: what is in the file, where it is not on disk.

    Raises:
        InputError: not there, or not a float array [256,256] of finite numbers.
    """
    try:
        if content is not None:
            stored = _array_in(content)
        else:
            stored = np.load(path, mmap_mode="r", allow_pickle=False)  # the header's claim is compared with the file
    except (OSError, ValueError, TypeError, EOFError, OverflowError, MemoryError) as error:
        raise InputError(
            f"{path} cannot be read as an uncertainty of the flip ({error}). Expected a stored .npy file."
        ) from error
    if not isinstance(stored, np.ndarray) or stored.shape != (STORED_SIDE, STORED_SIDE) or stored.dtype.kind != "f":
        found = f"{stored.dtype} {list(stored.shape)}" if isinstance(stored, np.ndarray) else "an archive"
        raise InputError(f"{path} holds {found}; an uncertainty of the flip is float32 [256,256].")
    if not np.isfinite(stored).all():
        raise InputError(f"{path} holds numbers that are not finite; make it again.")
    return _stored_to_mirror(torch.from_numpy(stored.astype(np.float32))[None], side)[0]


def _array_in(content: bytes) -> np.ndarray:
    """The array in the bytes of a .npy file; whatever its header claims, no memory beyond them is taken."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    flat = np.frombuffer(content, dtype, count=math.prod(shape), offset=file.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _stored_to_mirror(stored: Float[Tensor, "n 256 256"], side: int) -> Float[Tensor, "n r r"]:
    lengthen = _doubled_by_splines(STORED_SIDE)
    enlarged = (lengthen @ stored.cpu().double() @ lengthen.T).to(stored)  # some devices have no float64
    return _resize(enlarged, side).flip(2)


@cache
def _doubled_by_splines(length: int) -> Float[Tensor, "b a"]:
    """The matrix of `scipy.ndimage.zoom` by 2 with cubic splines along one axis; it is linear, and this much faster."""
    from scipy.ndimage import zoom

    return torch.from_numpy(zoom(np.eye(length), (2, 1), order=3))


def _resize(maps: Float[Tensor, "n a a"], side: int) -> Float[Tensor, "n b b"]:
    if maps.shape[2] == side:
        return maps
    return F.interpolate(maps[:, None], (side, side), mode="bilinear", align_corners=False, antialias=True)[:, 0]


def _on_photo(image: Float[Tensor, "3 s s"], points: Float[Tensor, "v 2"], camera: Camera) -> Float[Tensor, "s s"]:
    """The built-in estimate for one small photo, not flipped yet."""
    view = view_face(points, camera, SIDE)
    slope = _slope(image)
    slant = view.cosine.clamp_min(SMALLEST_COSINE)
    on_face = _quadrature(_asymmetry_on_face(image, view), MISPLACED_ON_FACE * slope / slant)
    off_face = _quadrature(_asymmetry_off_face(image, points), MISPLACED_OFF_FACE * slope)
    face = view.face.to(image)
    share = _blur(face, 1.0)
    error = share * _blur(on_face, SMOOTHED, face) + (1 - share) * _blur(off_face, SMOOTHED, 1 - face)
    return 2**0.5 * error


def _quadrature(asymmetry: Tensor, misplacement: Tensor) -> Tensor:
    return (NOISE**2 + asymmetry**2 + misplacement**2).sqrt()


def _asymmetry_on_face(image: Float[Tensor, "3 s s"], view: FaceView) -> Float[Tensor, "s s"]:
    """Colour difference to the mirror twin, where both are seen well; elsewhere the mean of there."""
    seen = (view.cosine.clamp(0, TRUSTED_COSINE) * view.twin_cosine.clamp(0, TRUSTED_COSINE)) / TRUSTED_COSINE**2
    seen = seen * (view.face & ~view.twin_hidden)
    difference = _blur(image - sample(image, view.twin), COMPARED_ON_FACE, seen).abs().mean(0)
    mean = (difference * seen).sum() / seen.sum().clamp_min(1e-6)
    return seen * difference + (1 - seen) * mean


def _asymmetry_off_face(image: Float[Tensor, "3 s s"], points: Float[Tensor, "v 2"]) -> Float[Tensor, "s s"]:
    """Coarse colour difference to the place that the affine map between the landmarks and their twins leads to."""
    twin = _affine_fit(points, points[face_mesh(points.device).mirror], pixel_centres(SIDE, points))
    return _blur(image - sample(image, twin), COMPARED_OFF_FACE).abs().mean(0)


def _affine_fit(a: Float[Tensor, "v 2"], b: Float[Tensor, "v 2"], at: Float[Tensor, "*s 2"]) -> Float[Tensor, "*s 2"]:
    """Where the affine map that fits a to b best, by least squares, leads the points `at`.

    Written out: solvers of the libraries give other last digits from call to call, and stored maps shall be the same.
    """
    middle_a, middle_b = a.double().mean(0), b.double().mean(0)
    x, y = (a - middle_a).unbind(1)
    xx, xy, yy = (x * x).sum(), (x * y).sum(), (y * y).sum()
    target = b - middle_b
    x_target, y_target = (x[:, None] * target).sum(0), (y[:, None] * target).sum(0)
    determinant = (xx * yy - xy * xy).clamp_min(1e-12)
    along_x = (x_target * yy - y_target * xy) / determinant
    along_y = (y_target * xx - x_target * xy) / determinant
    offset = at - middle_a
    return (offset[..., :1] * along_x + offset[..., 1:] * along_y + middle_b).to(at)


def _slope(image: Float[Tensor, "3 s s"]) -> Float[Tensor, "s s"]:
    """Root mean square over the channels of the gradient's length, per pixel."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    right = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    return (right**2 + down**2).mean(0).sqrt()


def _blur(x: Float[Tensor, "*c s s"], deviation: float, weight: Tensor | None = None) -> Float[Tensor, "*c s s"]:
    """Gaussian blur with repeated border; with a weight [S,S], the weighted mean."""
    if weight is not None:
        return _blur(x * weight, deviation) / _blur(weight, deviation).clamp_min(1e-6)
    reach = int(3 * deviation) + 1
    offsets = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = kernel / kernel.sum()
    flat = F.pad(x.reshape(-1, 1, *x.shape[-2:]), (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(flat, kernel[None, None, None]), kernel[None, None, :, None]).reshape(x.shape)
