"""Runs recorded ("golden") cases of the published networks against ours: `python -m tests.parity DIR`.

A case is one .safetensors file with its kind and settings in its metadata; what it holds decides what is compared.
Needs no pytest. `run_case` is what the tests call.
"""

from .case import Case, CaseError, find_cases, read_case
from .measure import Measured, relative_error
from .run import CaseResult, run_case

__all__ = [
    "Case",
    "CaseError",
    "CaseResult",
    "Measured",
    "find_cases",
    "read_case",
    "relative_error",
    "run_case",
]
