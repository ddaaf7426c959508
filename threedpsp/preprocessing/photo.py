"""Photos from disk: anything that Pillow can decode becomes upright and has three colours of 8 bits."""

from __future__ import annotations

import importlib.util
import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..errors import InputError

PhotoSource = str | Path | bytes | Image.Image | np.ndarray
BACKGROUND = (255, 255, 255)  # shown through transparent pixels, as most viewers do

_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError)
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}
_DEEP_MODES = ("I", "F")  # Pillow's names for more than 8 bits a channel start with these


@dataclass(frozen=True)
class Photo:
    """image: uint8 [H,W,3], RGB, upright. notes: what was done to get there, in plain words."""

    image: np.ndarray
    notes: tuple[str, ...] = ()


def load_photo(source: PhotoSource) -> Photo:
    """Decode a photo: its first frame, upright, with three colours of 8 bits.

    The metadata say which side is up, and white is put behind what is transparent.

    Args:
        source: a path, the bytes of a file, a Pillow image, or an array [H,W], [H,W,1|3|4]
            (uint8, uint16, or float in [0,1]).

    Raises:
        InputError: nothing that Pillow can decode (missing, empty, truncated, not an image, too large).
    """
    if isinstance(source, np.ndarray):
        return Photo(_array_to_rgb(source))
    if isinstance(source, Image.Image):
        return _decode(source, "The image")
    if isinstance(source, bytes):
        return _open(source, "The image data")
    path = Path(source)
    return _open(_read(path), f"'{path}'")


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise InputError(f"'{path}' is a folder; give the path of one photo, or prepare the folder as a batch.")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"There is no file '{path}'. Check the path.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"'{path}' cannot be read ({reason}). Check its permissions.") from error


def _open(data: bytes, name: str) -> Photo:
    if not data:
        raise InputError(f"{name} is empty (0 bytes). Give a photo (JPEG, PNG, WebP, TIFF, ...).")
    heif = data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS
    if heif:
        _register_heif(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit is Pillow's hard one; its warning comes at half of that
            with Image.open(io.BytesIO(data)) as image:
                return _decode(image, name)
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise InputError(f"{name} has too many pixels (limit {limit} million). Make it smaller.") from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name} is not an image that can be decoded, whatever its name says. Give a JPEG, PNG, WebP or TIFF photo."
        ) from error


def _register_heif(name: str) -> None:
    if importlib.util.find_spec("pillow_heif") is None:
        raise InputError(
            f"{name} is a HEIC photo, which Pillow cannot read by itself. "
            "Run 'pip install pillow-heif', or save the photo as JPEG."
        )
    from pillow_heif import register_heif_opener

    register_heif_opener()


def _decode(image: Image.Image, name: str) -> Photo:
    notes: list[str] = []
    try:
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # MPO: a JPEG with a second view or a thumbnail
            image.seek(0)
            notes.append(f"{name} has {frames} frames; the first is used.")
        image.load()
    except Image.DecompressionBombError:
        raise
    except _DECODING_ERRORS as error:
        raise InputError(f"{name} is damaged or cut off ({error}). Give a whole file.") from error
    upright = _upright(image)
    if upright is not image:
        notes.append(f"{name} was turned upright as its EXIF orientation says.")
    rgb = _to_rgb(upright, name, notes)
    height, width = rgb.shape[:2]
    if width * height > 50_000_000:
        notes.append(f"{name} is large ({width} x {height} pixels); faces are searched in a smaller copy.")
    return Photo(rgb, tuple(notes))


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(0x0112, 1)
        return image if orientation == 1 else ImageOps.exif_transpose(image)
    except (*_DECODING_ERRORS, TypeError, AttributeError):
        return image  # unreadable EXIF: the pixels are still good


def _to_rgb(image: Image.Image, name: str, notes: list[str]) -> np.ndarray:
    if image.mode.startswith(_DEEP_MODES):
        notes.append(f"{name} has more than 8 bits a channel; it was reduced to 8.")
        return _array_to_rgb(_deep_to_unit(np.asarray(image), image.mode))
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        if np.asarray(rgba.getchannel("A")).min(initial=255) < 255:
            notes.append(f"{name} has transparent parts; they were put on white.")
            canvas = Image.new("RGBA", rgba.size, (*BACKGROUND, 255))
            return np.asarray(Image.alpha_composite(canvas, rgba).convert("RGB"))
        image = rgba.convert("RGB")
    return np.asarray(_to_srgb(image))


def _to_srgb(image: Image.Image) -> Image.Image:
    """Through the embedded colour profile where there is one that is not sRGB already."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(source).lower():
                converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return image.convert("RGB")  # a broken profile: the plain numbers are the best guess
    return image if image.mode == "RGB" else image.convert("RGB")


def _deep_to_unit(values: np.ndarray, mode: str) -> np.ndarray:
    """16-bit, 32-bit and float grey to [0,1]: by the type's range, guessed from the largest value."""
    values = np.nan_to_num(values.astype(np.float32))
    largest = float(values.max(initial=0.0))
    if mode.startswith("F") and largest <= 1:
        scale = 1.0
    elif largest <= 255 and not mode.startswith("I;16"):
        scale = 255.0
    else:
        scale = max(65535.0, largest)
    return np.clip(values / scale, 0, 1)


def _array_to_rgb(values: np.ndarray) -> np.ndarray:
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4) or values.size == 0:
        raise InputError(f"An image array has shape [H,W], [H,W,1], [H,W,3] or [H,W,4]; got {list(values.shape)}.")
    if values.dtype == np.uint16:
        values = values.astype(np.float32) / 65535
    if np.issubdtype(values.dtype, np.floating):
        values = np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.uint8)
    if values.dtype != np.uint8:
        raise InputError(f"An image array is uint8, uint16, or float in [0,1]; got {values.dtype}.")
    if values.shape[2] == 4:
        alpha = values[..., 3:].astype(np.float32) / 255
        values = np.rint(values[..., :3] * alpha + np.array(BACKGROUND, np.float32) * (1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)))
