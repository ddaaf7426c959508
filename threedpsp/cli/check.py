"""`threedpsp check`: what works on this machine and what is missing."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .command import PlainCommand
from .option_types import MaybePath


@dataclass(frozen=True)
class Check(PlainCommand):
    """Show what works on this machine and what is missing.

    For each missing part it prints the command that mends it. The exit code is 5 if something is missing that the main
    job (threedpsp invert) needs.
    """

    examples = ("threedpsp check", "threedpsp check --json")

    weights_dir: MaybePath = None
    """A folder with weights, searched before the others."""

    def run(self) -> int:
        """Prints the findings."""
        from ..errors import MissingDependencyError
        from ..setup_check import check_setup

        with self.waiting("look at this machine"):
            report = check_setup(() if self.weights_dir is None else (self.weights_dir,))
        findings = {"complete": report.complete, "findings": [asdict(finding) for finding in report.findings]}
        self.result(report.to_text(), findings)
        return 0 if report.complete else MissingDependencyError.exit_code
