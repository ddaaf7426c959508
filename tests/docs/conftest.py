"""Counts and lists, after every run of these tests, the blocks of the pages that are not run."""

from __future__ import annotations

import pytest

from tests.docs.pages import NEEDS, RUN, all_blocks


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which blocks were left out and why."""
    runnable = [block for block in all_blocks() if block.language in RUN]
    tagged = [block for block in runnable if block.need]
    terminalreporter.write_line(f"fenced commands: {len(runnable)} blocks, of which {len(tagged)} are not run:")
    for block in tagged:
        terminalreporter.write_line(f"  {block} needs {block.need}: {NEEDS.get(block.need or '', 'unknown')}")
