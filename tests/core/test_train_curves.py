"""One figure of several trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from threedpsp.errors import InputError
from threedpsp.training.encoders.config import TrainConfig, TrainedMethod
from threedpsp.training.encoders.curves import CurvesFigure, draw, main, read_runs, smoothed


def make_run(folder: Path, method: TrainedMethod, losses: list[float]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(TrainConfig(method=method).to_json())
    rows = [f"{step + 1},{2.0 * step},{loss},{loss / 2}" for step, loss in enumerate(losses)]
    (folder / "steps.csv").write_text("\n".join(["step,cpu_seconds,perceptual,identity", *rows]) + "\n")
    return folder


def test_seeds_of_a_method_are_averaged_over_the_steps_that_all_have(tmp_path: Path):
    runs = [make_run(tmp_path / "a", "psp", [1.0, 3.0, 5.0]), make_run(tmp_path / "b", "psp", [3.0, 5.0])]
    figure = draw(read_runs([*runs, make_run(tmp_path / "c", "3dpsp", [4.0])]), smooth=1)
    thick = [line for line in figure.axes[0].lines if line.get_linewidth() == 2]
    assert [line.get_label() for line in thick] == ["psp, n = 2", "3dpsp, n = 1"]
    np.testing.assert_allclose(thick[0].get_ydata(), [2.0, 4.0])
    np.testing.assert_allclose(thick[0].get_xdata(), [1.0, 2.0])


def test_running_mean_covers_the_last_steps():
    np.testing.assert_allclose(smoothed(np.array([1.0, 2.0, 6.0, 4.0]), 2), [1.0, 1.5, 4.0, 5.0])


def test_the_figure_is_written(tmp_path: Path):
    run = make_run(tmp_path / "a", "e4e", [1.0, 0.5])
    main(CurvesFigure(runs=(run,), output=tmp_path / "curves.png"))
    with Image.open(tmp_path / "curves.png") as image:
        assert image.width > 1000
        assert len(np.unique(np.asarray(image.convert("L")))) > 10


def test_other_folders_are_named(tmp_path: Path):
    with pytest.raises(InputError, match="not the folder of a training"):
        read_runs([tmp_path])
    with pytest.raises(InputError, match="no training step yet"):
        read_runs([make_run(tmp_path / "a", "psp", [])])
