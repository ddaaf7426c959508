"""`threedpsp check`: what works on this machine and what is missing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from .command import PlainCommand


@dataclass(frozen=True)
class Check(PlainCommand):
    """What works on this machine and what is missing, each with the command that mends it.

    Example: threedpsp check

    Exit code 5 if something is missing that the main job needs.
    """

    weights_dir: Path | None = None
    """A folder with weights, searched before the others."""

    def run(self) -> int:
        """Prints the findings."""
        from ..errors import MissingDependencyError
        from ..setup_check import check_setup

        report = check_setup(() if self.weights_dir is None else (self.weights_dir,))
        findings = {"complete": report.complete, "findings": [asdict(finding) for finding in report.findings]}
        self.result(report.to_text(), findings)
        return 0 if report.complete else MissingDependencyError.exit_code
