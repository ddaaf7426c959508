"""Whatever the package computes for people goes with as many threads as pay: in commands, nodes and notebooks alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import torch
from skimage import data
from torch.utils._python_dispatch import TorchDispatchMode

import threedpsp
from tests.core.small_model import save_small_model
from threedpsp import threads
from threedpsp.encoder.pti import PTIConfig
from threedpsp.evaluation.scoring import Scorer
from threedpsp.pipeline import Pipeline
from threedpsp.results import quality
from threedpsp.threads import ThreadCount
from threedpsp.types import FaceCrop, Inversion

HEAVY = ("convolution", "mm", "addmm", "bmm", "baddbmm", "avg_pool2d", "_upsample_bilinear2d_aa", "grid_sampler_2d")


class Watch(TorchDispatchMode):
    """How many threads torch had for each kind of work."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if name.removesuffix("_backward") in HEAVY:
            self.seen.append((name, torch.get_num_threads()))
        return function(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def crop() -> FaceCrop:
    return threedpsp.prepare(data.astronaut(), size=256)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return threedpsp.load(save_small_model(tmp_path_factory.mktemp("model")), device="cpu")


@pytest.fixture(scope="module")
def head(pipeline: Pipeline, crop: FaceCrop) -> Inversion:
    return pipeline.invert(crop, steps=1, likeness="none")


@pytest.fixture(autouse=True)
def two_threads_of_which_one_pays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    count = ThreadCount(lambda: (0.0, 0.0))
    count.limit = 1
    monkeypatch.setattr(threads, "_shared", count)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


@cache
def scorer() -> Scorer:
    """Loading it is not part of the work."""
    return Scorer(torch.device("cpu"), (15.0,), 20.0)


Work = Callable[[Pipeline, FaceCrop, Inversion], object]
WORK: dict[str, Work] = {
    "prepare": lambda pipeline, crop, head: threedpsp.prepare(data.astronaut(), size=64),
    "confidence": lambda pipeline, crop, head: threedpsp.estimate_confidence(crop),
    "invert": lambda pipeline, crop, head: pipeline.invert(crop, steps=2, likeness="none"),
    "first likeness": lambda pipeline, crop, head: pipeline.invert(crop, steps=1, likeness="instant"),
    "refine": lambda pipeline, crop, head: pipeline.refine(head, crop, threedpsp.RefineConfig(steps=2, tune_after=0)),
    "tune": lambda pipeline, crop, head: pipeline.tune(head, crop, config=PTIConfig(tune_steps=2)),
    "render": lambda pipeline, crop, head: list(pipeline.render(head, crop.camera)),
    "views": lambda pipeline, crop, head: threedpsp.render_views(pipeline, [head]),
    "random head": lambda pipeline, crop, head: threedpsp.random_head(pipeline.generator),
    "mesh": lambda pipeline, crop, head: threedpsp.extract_mesh(pipeline, head, resolution=16, level=-1e3),
    "compare": lambda pipeline, crop, head: threedpsp.compare(crop, head.render.image),
    "quality in a report": lambda pipeline, crop, head: quality(crop, head),
    "evaluate": lambda pipeline, crop, head: scorer().score(pipeline, head, crop),
}


@pytest.mark.parametrize("name", WORK)
def test_work_goes_with_as_many_threads_as_pay(name: str, pipeline: Pipeline, crop: FaceCrop, head: Inversion) -> None:
    scorer()
    with Watch() as watch:
        try:
            WORK[name](pipeline, crop, head)
        except threedpsp.InputError:
            assert name == "mesh"  # a random generator has no surface
    assert watch.seen and {count for _, count in watch.seen} == {1}
