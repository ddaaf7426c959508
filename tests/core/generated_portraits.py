"""Portraits of nobody, for tests of the training."""

from __future__ import annotations

from threedpsp.bench.people import made_up
from threedpsp.training.portraits import PortraitSet
from threedpsp.weights.load import load_generator


def generated_portraits(n: int) -> PortraitSet:
    """Faces of the embedded generator with the mean face's mesh."""
    return made_up(load_generator("tiny", "cpu"), n)
