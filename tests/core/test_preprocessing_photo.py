"""Photos of every kind that Pillow decodes, and files that are none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from threedpsp.errors import InputError
from threedpsp.preprocessing import load_photo

RED = (200, 30, 40)


def picture(mode: str = "RGB", size: tuple[int, int] = (32, 24)) -> Image.Image:
    return Image.new("RGB", size, RED).convert(mode)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_colour_modes_give_the_same_rgb(mode: str) -> None:
    photo = load_photo(picture(mode))
    assert photo.image.shape == (24, 32, 3) and photo.image.dtype == np.uint8
    np.testing.assert_allclose(photo.image[0, 0], RED, atol=24)  # Pillow's web palette is coarse
    assert photo.notes == ()


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_modes_give_three_equal_channels(mode: str) -> None:
    image = load_photo(picture(mode)).image
    assert image.shape == (24, 32, 3)
    assert (image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all()


def test_sixteen_bit_grey_keeps_its_range() -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    photo = load_photo(encoded(Image.fromarray(ramp), "PNG"))
    np.testing.assert_allclose(photo.image[..., 0], ramp / 257, atol=1)
    assert "8 bits" in photo.notes[0]


def test_float_tiff_in_unit_range_keeps_its_range() -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    photo = load_photo(encoded(Image.fromarray(ramp), "TIFF"))
    np.testing.assert_allclose(photo.image[..., 0], ramp * 255, atol=1)


def test_transparent_parts_are_put_on_white_with_a_note() -> None:
    image = Image.new("RGBA", (8, 8), (*RED, 255))
    image.paste((0, 0, 0, 0), (0, 0, 4, 8))
    photo = load_photo(encoded(image, "PNG"))
    assert photo.image[0, 0].tolist() == [255, 255, 255] and photo.image[0, 7].tolist() == list(RED)
    assert "transparent" in photo.notes[0]


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (40, 20), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 10, 20))  # white at the left
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise
    photo = load_photo(encoded(image, "JPEG", exif=exif.tobytes(), quality=95))
    assert photo.image.shape == (40, 20, 3)
    assert photo.image[:8].mean() > 240 and photo.image[12:].mean() < 15
    assert "EXIF" in photo.notes[0]


def test_first_frame_of_an_animation_is_used_with_a_note() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, (0, 0, 255), (0, 255, 0))]
    photo = load_photo(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    np.testing.assert_allclose(photo.image[0, 0], RED, atol=3)
    assert "3 frames" in photo.notes[0]


@pytest.mark.parametrize(
    "array",
    [
        np.full((4, 5, 3), 51, np.uint8),
        np.full((4, 5), 51, np.uint8),
        np.full((4, 5, 1), 51 / 255, np.float32),
        np.full((4, 5, 3), 51 * 257, np.uint16),
        np.dstack([np.full((4, 5, 3), 51, np.uint8), np.full((4, 5), 255, np.uint8)]),
    ],
    ids=["rgb", "grey", "float", "uint16", "rgba"],
)
def test_arrays_are_accepted(array: np.ndarray) -> None:
    image = load_photo(array).image
    assert image.shape == (4, 5, 3) and (image == 51).all()


@pytest.mark.parametrize(
    "array", [np.zeros((3, 4, 5, 3)), np.zeros((4, 5, 2)), np.zeros((0, 5, 3)), np.zeros((4, 5), int)]
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError, match="array"):
        load_photo(array)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.png", b"this is a text, not a picture", "not an image"),
        ("cut.jpg", encoded(picture(size=(300, 300)), "JPEG")[:-400], "damaged or cut off"),
        ("cut.png", encoded(Image.effect_noise((200, 200), 50), "PNG")[:-4000], "damaged or cut off"),
        ("cut.gif", encoded(Image.effect_noise((200, 200), 50), "GIF")[:-4000], "damaged or cut off"),
        ("phone.heic", b"\0\0\0\x18ftypheic" + bytes(64), "pillow-heif|not an image"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=says) as caught:
        load_photo(path)
    assert name in str(caught.value)


def test_folders_missing_files_and_odd_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        load_photo(tmp_path)
    with pytest.raises(InputError, match="no file"):
        load_photo(tmp_path / "missing.jpg")
    with pytest.raises(InputError, match="cannot be read"):
        load_photo("nul\0inside.jpg")


def test_photo_beyond_the_pixel_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="too many pixels"):
        load_photo(encoded(picture(), "PNG"))


def test_photo_between_pillows_warning_and_its_limit_is_accepted_quietly(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # the picture has 768
    assert load_photo(encoded(picture(), "PNG")).image.shape == (24, 32, 3)
    assert not recwarn.list


def test_unreadable_exif_does_not_cost_the_photo() -> None:
    data = encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert load_photo(data).image.shape == (24, 32, 3)


def test_srgb_profile_and_broken_profile_change_no_colour() -> None:
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = load_photo(encoded(picture(), "PNG")).image
    np.testing.assert_array_equal(load_photo(encoded(picture(), "PNG", icc_profile=srgb)).image, plain)
    np.testing.assert_array_equal(load_photo(encoded(picture(), "PNG", icc_profile=b"broken")).image, plain)
