"""Check Setup."""

from __future__ import annotations

import time

from .io_types import io, node_schema, ui
from .model_paths import weights_folders
from .running import in_core


class CheckSetup(io.ComfyNode):
    """What is installed here, in plain words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Nothing -> report."""
        return node_schema(
            "ThreeDpSpCheckSetup",
            "3DpSp Check Setup",
            "Says in plain words what works here and what is missing: device, compiled kernels, packages, weights, "
            "each with the command or the place that mends it.",
            search_aliases=["doctor", "diagnose", "install", "requirements", "help"],
            inputs=[],
            outputs=[io.String.Output("report", display_name="report", tooltip="The findings, one a line.")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls) -> float:
        """Never the same: the answer depends on the machine, not on inputs."""
        return time.time()

    @classmethod
    @in_core
    def execute(cls) -> io.NodeOutput:
        """See `threedpsp.check_setup`."""
        from .. import threedpsp

        report = threedpsp.check_setup(weights_dirs=weights_folders()).to_text()
        return io.NodeOutput(report, ui=ui.PreviewText(report))
