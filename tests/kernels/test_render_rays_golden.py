"""Rendering against values recorded from the published renderer, by each implementation."""

import pytest

from tests.golden import golden_case_names, golden_path
from tests.parity.run import run_case


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
@pytest.mark.parametrize("case", [name for name in golden_case_names() if name.startswith("renderer_")])
def test_matches_published_renderer(case: str, implementation: str) -> None:
    result = run_case(golden_path(f"{case}.safetensors"), implementation)
    assert result.passed, str(result)
