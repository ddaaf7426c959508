"""Settings beside an encoder's weights do not keep it from loading, and are never made."""

from __future__ import annotations

import argparse
import collections
import pathlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.hostile_files import encoder_state
from tests.official_files import write_encoder
from threedpsp.errors import WeightsError
from threedpsp.weights.recognise import recognise

EXTRAS: dict[str, Any] = {
    "dtype": torch.float32,
    "set": {1, "a"},
    "frozenset": frozenset({1, 2}),
    "defaultdict": collections.defaultdict(list, {"a": [1]}),
    "Counter": collections.Counter("aab"),
    "path": pathlib.PurePosixPath("a/b"),
    "this system's path": Path("a/b"),
    "array": np.arange(6.0).reshape(2, 3),
    "array of whole numbers": np.arange(3),
    "number of numpy": np.float32(1.5),
    "all in a list": [{1}, {"x": Path("a")}, [np.zeros(2)]],
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", EXTRAS)
def test_an_encoder_with_extras_in_its_settings_is_read(tmp_path: Path, name: str, legacy: bool) -> None:
    options = argparse.Namespace(extra=EXTRAS[name], lr=0.5)
    content = {"state_dict": {f"encoder.{n}": t for n, t in encoder_state().items()}, "opts": options}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    found = recognise(tmp_path / "a.pt")
    assert found.kind == "encoder" and found.facts["opts.lr"] == "0.5"


class Settings:
    """A class of a training script."""


class Dangerous:
    """Pickled as a call of an attack's."""

    def __reduce__(self) -> Any:
        return eval, ("1",)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Settings(), r"holds an object of .*Settings, which this reader does not take"),
        (Dangerous(), r"eval, which no weights file needs. Do not trust"),
        (collections.defaultdict(eval), r"eval, which no weights file needs. Do not trust"),
        (np.array([{}], dtype=object), r"kind of number that no weights file has"),
    ],
)
def test_other_objects_are_refused_by_what_they_are(tmp_path: Path, value: Any, words: str) -> None:
    write_encoder(tmp_path / "a.pt", encoder_state(), None, options={"extra": value})
    with pytest.raises(WeightsError, match=words):
        recognise(tmp_path / "a.pt")
