"""`comfy_api.latest`: inputs, outputs and schemas that remember what they were given."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any


class Socket:
    """An input or an output of a node."""

    def __init__(self, type_name: str, id: str, **options: Any) -> None:
        self.type_name = type_name
        self.id = id
        self.tooltip: str | None = options.pop("tooltip", None)
        self.optional: bool = options.pop("optional", False)
        self.display_name: str | None = options.pop("display_name", None)
        self.options = options

    def as_dict(self) -> dict[str, Any]:
        """What ComfyUI's page is told of it."""
        return self.options


_INPUT_OPTIONS = {
    "IMAGE": set(),
    "MASK": set(),
    "INT": {"default", "min", "max", "step", "control_after_generate", "display_mode"},
    "FLOAT": {"default", "min", "max", "step", "round", "display_mode"},
    "STRING": {"default", "multiline"},
    "BOOLEAN": {"default", "label_on", "label_off"},
    "COMBO": {"options", "default", "control_after_generate"},
}


class DataType:
    """What `io.Image`, `io.Custom("…")` and the like are: makers of inputs and outputs of one type."""

    def __init__(self, type_name: str) -> None:
        self.io_type = type_name

    def Input(self, id: str, **options: Any) -> Socket:  # noqa: N802 - ComfyUI's name
        unknown = set(options) - _INPUT_OPTIONS.get(self.io_type, set()) - {"tooltip", "optional", "display_name"}
        if unknown:
            raise TypeError(f"{self.io_type} inputs have no {sorted(unknown)}")
        return Socket(self.io_type, id, **options)

    def Output(self, id: str, **options: Any) -> Socket:  # noqa: N802 - ComfyUI's name
        unknown = set(options) - {"tooltip", "display_name", "is_output_list"}
        if unknown:
            raise TypeError(f"{self.io_type} outputs have no {sorted(unknown)}")
        return Socket(self.io_type, id, **options)


@dataclasses.dataclass
class Schema:
    """A node's description, as of ComfyUI 0.3.75."""

    node_id: str
    display_name: str
    category: str
    inputs: list[Socket]
    outputs: list[Socket]
    description: str = ""
    is_output_node: bool = False


@dataclasses.dataclass
class NewerSchema(Schema):
    """The same as of newer versions, which know search aliases."""

    search_aliases: list[str] = dataclasses.field(default_factory=list)


class NodeOutput:
    """What a node returns: its values, and what the page shows."""

    def __init__(self, *values: Any, ui: Any = None) -> None:
        self.values, self.ui = values, ui


class ComfyNode:
    """The base of nodes."""


class ComfyExtension:
    """The base of packs."""


class NumberDisplay(str, enum.Enum):
    """How a number is shown."""

    number = "number"
    slider = "slider"


class Shown:
    """Any of the `ui` classes: keeps its arguments."""

    def __init__(self, *values: Any, **options: Any) -> None:
        self.values, self.options = values, options

    def as_dict(self) -> dict[str, Any]:
        return {type(self).__name__: self.values}


class PreviewImage(Shown):
    pass


class PreviewText(Shown):
    pass


class PreviewUI3D(Shown):
    pass
