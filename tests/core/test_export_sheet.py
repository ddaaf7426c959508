"""Pictures and contact sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from threedpsp.camera import Camera
from threedpsp.errors import InputError
from threedpsp.export import sheet as sheet_module
from threedpsp.export.images import depth_to_rgb, enlarge, save_png, to_uint8
from threedpsp.export.sheet import contact_sheet, inversion_sheet
from threedpsp.types import FaceCrop, Inversion, Render, WPlus


def flat(value: float, side: int = 16) -> torch.Tensor:
    """A picture of one grey."""
    return torch.full((1, 3, side, side), float(value))


def test_values_map_to_the_ends_and_are_clamped():
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_uint8(values)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_png_round_trip(tmp_path: Path):
    picture = np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)
    save_png(tmp_path / "a.png", picture)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), picture)


def test_enlarging_never_shrinks():
    assert enlarge(flat(0, 16), 64).shape[-1] == 64
    assert enlarge(flat(0, 128), 64).shape[-1] == 128


def test_near_is_bright_far_is_dark_and_no_head_is_grey():
    depth = torch.linspace(2.3, 3.0, 10).view(1, 1, 10)
    opacity = torch.ones(1, 1, 10)
    opacity[..., 9] = 0
    colours = depth_to_rgb(depth, opacity).astype(int).sum(-1)[0]
    assert all(a > b for a, b in zip(colours[:8], colours[1:9], strict=True))
    assert depth_to_rgb(depth, opacity)[0, 9].tolist() == [24, 24, 28]


def test_depth_of_nothing_is_grey():
    assert (depth_to_rgb(torch.ones(1, 4, 4), torch.zeros(1, 4, 4)) == np.array([24, 24, 28])).all()


def test_sheet_holds_every_picture_at_its_place():
    red, green = np.full((8, 8, 3), (255, 0, 0), np.uint8), np.full((8, 4, 3), (0, 255, 0), np.uint8)
    sheet = np.asarray(contact_sheet([[("a", red), ("b", green)], [("c", red)]], cell=32))
    assert sheet.shape == (2 * 60 + 8, 2 * 40 + 8, 3)
    assert sheet[24, 24].tolist() == [255, 0, 0]
    assert sheet[24, 64].tolist() == [0, 255, 0]  # kept its shape: in the middle of its cell
    assert sheet[24, 50].tolist() == [250, 250, 250]
    assert sheet[84, 24].tolist() == [255, 0, 0]


def test_captions_are_written():
    white = np.full((8, 8, 3), 250, np.uint8)
    assert (np.asarray(contact_sheet([[("caption", white)]], cell=64)) < 100).any()


def test_empty_sheet_is_an_error():
    with pytest.raises(InputError, match="at least one picture"):
        contact_sheet([[]])


@pytest.mark.parametrize(
    ("info", "caption"),
    [
        ({}, "result"),
        ({"likeness": {"updates": 5}}, "first likeness, 5 updates"),
        ({"refine": {"steps": 40, "steps_before": 0}}, "refined, 40 updates"),
        ({"refine": {"steps": 3, "steps_before": 0}}, "refined, only 3 updates"),
        ({"likeness": {"updates": 5}, "refine": {"steps": 3, "steps_before": 5}}, "refined, 3 updates"),
    ],
)
def test_inversion_sheet_says_how_many_updates_were_made(
    info: dict[str, dict[str, int]], caption: str, monkeypatch: pytest.MonkeyPatch
):
    rows: list[list[tuple[str, np.ndarray]]] = []
    monkeypatch.setattr(
        sheet_module, "contact_sheet", lambda given, cell: rows.extend(given) or Image.new("RGB", (1, 1))
    )
    render = Render(flat(0.5), flat(0.5, 8), torch.rand(1, 1, 8, 8), torch.ones(1, 1, 8, 8))
    head = Inversion(WPlus(torch.zeros(1, 6, 16), "f"), Camera.frontal(), render, info=info)
    inversion_sheet(FaceCrop(flat(-1), Camera.frontal()), head)
    assert [words for words, _ in rows[0]] == ["photo", caption]


def test_inversion_sheet_shows_photo_steps_result_views_and_depth():
    render = Render(flat(0.5), flat(0.5, 8), torch.rand(1, 1, 8, 8), torch.ones(1, 1, 8, 8))
    inversion = Inversion(
        WPlus(torch.zeros(1, 6, 16), "f"), Camera.frontal(), render, ((torch.zeros(1, 6, 16), flat(0)),) * 5
    )
    crop = FaceCrop(flat(-1), Camera.frontal())
    sheet = inversion_sheet(crop, inversion, [("+20", render), ("-20", render)], cell=32)
    assert sheet.size == (7 * 40 + 8, 3 * 60 + 8)
