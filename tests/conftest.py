"""What every test runs under: shapes and types checked, few threads, fixed seeds, marks that skip with a reason."""

from __future__ import annotations

import os
import random

from jaxtyping import install_import_hook

import tests.checker  # noqa: F401

# Before anything imports these packages: every annotated function is then checked by beartype.
install_import_hook(["threedpsp", "eg3d_kernels"], "tests.checker.check")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

import threedpsp.device  # noqa: E402, F401 - makes the CPU's arithmetic repeatable, before any is done

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """Random numbers that a test draws without a seed of its own are the same in every run."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


LEFT_OUT = {
    "comfyui": "ComfyUI tests",
    "browser": "browser tests",
    "notebooks": "notebook tests",
    "docs": "document tests",
}
"""Marked tests that need more than this environment: left out, and counted, unless -m asks for them."""

left_out: dict[str, int] = dict.fromkeys(LEFT_OUT, 0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips, with a reason that the summary shows, the marked tests that this machine is not for; leaves some out."""
    asked = config.getoption("markexpr")
    reasons = {
        "cuda": None if torch.cuda.is_available() else "needs a CUDA device",
        "weights": None if os.environ.get("THREEDPSP_WEIGHTS") else "needs official weights: set THREEDPSP_WEIGHTS",
    }
    kept, dropped = [], []
    for item in items:
        for mark, reason in reasons.items():
            if reason and item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))
        not_asked = [mark for mark in LEFT_OUT if item.get_closest_marker(mark) and mark not in asked]
        for mark in not_asked[:1]:
            left_out[mark] += 1
        (dropped if not_asked else kept).append(item)
    if dropped:
        items[:] = kept
        config.hook.pytest_deselected(items=dropped)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was left out."""
    counts = [f"{count} {LEFT_OUT[mark]} (run them with -m {mark})" for mark, count in left_out.items() if count]
    if counts:
        terminalreporter.write_line("left out: " + ", ".join(counts))
