"""e4e: one w for all rows, differences opened row by row; against recorded values and its formula."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from threedpsp.encoder.config import EncoderConfig
from threedpsp.encoder.e4e import StageSchedule, delta_norm, rows_from_deltas
from threedpsp.encoder.encoder import build_encoder, encoder_from_checkpoint
from threedpsp.errors import InputError

SMALL = EncoderConfig(
    input_channels=3,
    input_resolution=32,
    depths=(1, 1, 1, 1),
    widths=(16, 16, 16, 32),
    se_pool="avg",
    fpn_width=32,
    num_ws=5,
    w_dim=12,
    coarse_rows=2,
    middle_rows=2,
    head_width=16,
    head_pointwise=False,
    camera_features=0,
)
E4E = dataclasses.replace(SMALL, row_deltas=True)


def test_rows_are_the_first_heads_plus_the_others() -> None:
    """Against pSp with the same weights, whose heads are the rows themselves."""
    psp, e4e = build_encoder(SMALL, seed=4), build_encoder(E4E, seed=4)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        heads = psp(x)
        for stage in (0, 1, 3, 4, None):
            opened = 4 if stage is None else stage
            expected = heads[:, :1].repeat(1, 5, 1)
            for row in range(1, opened + 1):
                expected[:, row] += heads[:, row]
            torch.testing.assert_close(e4e(x, stage=stage), expected, rtol=1e-5, atol=1e-5)


def test_heads_that_are_not_open_are_not_run() -> None:
    encoder = build_encoder(E4E)
    ran: list[int] = []
    for index, head in enumerate(encoder.styles):
        head.register_forward_hook(lambda *_, index=index: ran.append(index))
    with torch.no_grad():
        encoder(torch.zeros(1, 3, 32, 32), stage=2)
    assert ran == [0, 1, 2]


def test_stages_open_as_published() -> None:
    schedule = StageSchedule()
    stages = {step: schedule.stage(step, 14) for step in (0, 19_999, 20_000, 21_999, 22_000, 44_000, 46_000, 10**6)}
    assert stages == {0: 0, 19_999: 0, 20_000: 1, 21_999: 1, 22_000: 2, 44_000: 13, 46_000: 13, 10**6: 13}
    with pytest.raises(InputError, match="0 or later"):
        StageSchedule(every=0)


def test_delta_norm_is_the_sum_of_distances_from_the_first_row() -> None:
    ws = torch.zeros(2, 3, 4)
    ws[0, 1, :2] = torch.tensor([3.0, 4.0])
    ws[1, 2, 0] = 2.0
    assert delta_norm(ws).item() == pytest.approx((5 + 2) / 2)
    start = torch.zeros(1, 3, 4, requires_grad=True)
    delta_norm(start).backward()
    assert torch.equal(start.grad, torch.zeros(1, 3, 4))  # where all rows are one w, no direction is better
    assert rows_from_deltas(torch.ones(1, 1, 4), 3).shape == (1, 3, 4)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="stages 0 to 4"):
        build_encoder(E4E)(torch.zeros(1, 3, 32, 32), stage=5)
    with pytest.raises(InputError, match="Only an e4e encoder has stages"):
        build_encoder(SMALL)(torch.zeros(1, 3, 32, 32), stage=0)
    with pytest.raises(InputError, match="shared_heads"):
        dataclasses.replace(E4E, shared_heads=True)


def test_checkpoint_keeps_how_the_heads_are_read() -> None:
    encoder = build_encoder(E4E, seed=1)
    again = encoder_from_checkpoint(*encoder.checkpoint())
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert again.method == "e4e" and torch.equal(again(x), encoder(x))
