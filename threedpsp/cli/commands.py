"""Which commands there are, and in which order a newcomer meets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..training.encoders.config import PRESETS
from .check import Check
from .command import PlainCommand
from .demo import Demo
from .evaluate import Evaluate
from .invert import Invert
from .mesh import Mesh
from .prepare import Prepare
from .render import Render
from .train import TrainOptions, TrainPreset
from .train_tiny import TrainTiny
from .weights import CheckWeights, ConvertWeights, DownloadWeights, ListWeights


@dataclass(frozen=True)
class Leaf:
    """A command that does something.

    Attributes:
        options: its options, and what it does.
        default: their defaults, where these are not the class's own.
        summary: one line about it; without one, the first of the class's description.
    """

    options: type[PlainCommand]
    default: PlainCommand | None = None
    summary: str = ""

    @property
    def line(self) -> str:
        """The summary."""
        return self.summary or (self.options.__doc__ or "").partition("\n")[0]


@dataclass(frozen=True)
class Group:
    """A command whose next word is a command; `line` is its summary."""

    line: str
    commands: Mapping[str, Leaf]
    examples: tuple[str, ...]


Commands = Mapping[str, Leaf | Group]


def _preset(name: str) -> TrainPreset:
    return TrainPreset(config=TrainOptions(**vars(PRESETS[name])))


TRAIN = Group(
    "Train an encoder for a frozen generator, from a preset.",
    {
        "tiny_cpu": Leaf(TrainPreset, _preset("tiny_cpu"), "For the embedded generator, on a CPU, in an hour or so."),
        "a100_ffhq512": Leaf(TrainPreset, _preset("a100_ffhq512"), "The published recipe at 512 pixels, on GPUs."),
    },
    ("threedpsp train tiny_cpu --photos prepared/ -o runs/mine", "threedpsp train tiny_cpu --help"),
)
WEIGHTS = Group(
    "List, check, convert and download weights files.",
    {
        "list": Leaf(ListWeights),
        "check": Leaf(CheckWeights),
        "convert": Leaf(ConvertWeights),
        "download": Leaf(DownloadWeights),
    },
    ("threedpsp weights list", "threedpsp weights download ffhqrebalanced512-128"),
)
SECTIONS: Mapping[str, Commands] = {
    "From photos to heads": {"demo": Leaf(Demo), "invert": Leaf(Invert), "prepare": Leaf(Prepare)},
    "From a saved head": {"render": Leaf(Render), "mesh": Leaf(Mesh)},
    "Research": {"evaluate": Leaf(Evaluate), "train": TRAIN, "train-tiny": Leaf(TrainTiny)},
    "This machine": {"check": Leaf(Check), "weights": WEIGHTS},
}
COMMANDS: Commands = {name: command for section in SECTIONS.values() for name, command in section.items()}
