"""What Load Model offers without any file in ComfyUI's folders."""

from __future__ import annotations

from typing import Any, get_args

from threedpsp.precision import PrecisionName
from threedpsp.weights.catalogue import EMBEDDED, EMBEDDED_ENCODERS


def test_the_embedded_models_are_offered_by_name(schemas: dict[str, Any]):
    offered = {socket.id: socket.options.get("options", []) for socket in schemas["ThreeDpSpLoadModel"].inputs}
    assert offered["generator"][0] in EMBEDDED
    assert set(EMBEDDED_ENCODERS) <= set(offered["encoder"])


def test_every_precision_is_offered_and_graphs_from_before_take_auto(schemas: dict[str, Any]):
    (found,) = [socket for socket in schemas["ThreeDpSpLoadModel"].inputs if socket.id == "precision"]
    assert tuple(found.options["options"]) == get_args(PrecisionName)
    assert found.optional and found.options["default"] == "auto"
