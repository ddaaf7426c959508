"""Which runner a kind has, and what came of running a case."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eg3d_kernels import Implementation

from . import cameras, encoders, faces, generator, inversion, optimizer, planes, renderer
from .case import Case, CaseError, read_case
from .measure import Measured, base_of


@dataclass(frozen=True)
class Runner:
    """How a kind is run; the tensors that only go in."""

    run: Callable[[Case, Implementation], list[Measured]]
    inputs: tuple[str, ...]


# A kind is its own name, or begins with one of these and "_": triplanenet_v2_branch_upsample, arcface_ir_se50.
RUNNERS = {
    "align_crop": Runner(cameras.run_align_crop, cameras.CROP_INPUTS),
    "arcface": Runner(faces.run_arcface, faces.ARCFACE_INPUTS),
    "camera_math": Runner(cameras.run_camera_math, cameras.CAMERA_INPUTS),
    "confnet": Runner(faces.run_confnet, faces.CONFNET_INPUTS),
    "deep3d": Runner(faces.run_deep3d, faces.DEEP3D_INPUTS),
    "eg3d": Runner(generator.run, generator.INPUTS),
    "encoder_3dpsp": Runner(encoders.run_threedpsp, encoders.INPUTS),
    "encoder_e4e": Runner(encoders.run_e4e, encoders.INPUTS),
    "encoder_psp": Runner(encoders.run_psp, encoders.INPUTS),
    "inversion": Runner(inversion.run, inversion.INPUTS),
    "ranger": Runner(optimizer.run, optimizer.INPUTS),
    "renderer": Runner(renderer.run, renderer.INPUTS),
    "triplanenet": Runner(planes.run, planes.INPUTS),
}


@dataclass(frozen=True)
class CaseResult:
    """What came of a case: what was measured, or why it could not be run."""

    path: Path
    kind: str
    measured: tuple[Measured, ...]
    not_compared: tuple[str, ...]
    error: str
    seconds: float

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def passed(self) -> bool:
        """Something was measured, all of it is within its tolerance, and no recorded output was left out."""
        complete = bool(self.measured) and not self.not_compared
        return not self.error and complete and all(m.passed for m in self.measured)

    def __str__(self) -> str:
        verdict = "ok  " if self.passed else "FAIL"
        words = self.error or "  ".join(map(str, self.measured))
        rest = f"  NOT COMPARED: {', '.join(self.not_compared)}" if self.not_compared else ""
        return f"{verdict} {self.name:<36} {words}{rest}  {self.seconds:.1f} s"

    def to_dict(self) -> dict[str, object]:
        """As plain JSON-able values."""
        return {
            "case": self.name,
            "file": str(self.path),
            "kind": self.kind,
            "passed": self.passed,
            "error": self.error,
            "quantities": [
                {"name": m.quantity, "error": m.error, "tolerance": m.tolerance, "passed": m.passed}
                for m in self.measured
            ],
            "not_compared": list(self.not_compared),
            "seconds": round(self.seconds, 3),
        }


def runner_of(kind: str) -> Runner:
    """How a kind is run.

    Raises:
        CaseError: unknown.
    """
    fitting = [name for name in RUNNERS if kind == name or kind.startswith(f"{name}_")]
    if not fitting:
        raise CaseError(f"unknown kind {kind!r}; known: {', '.join(RUNNERS)}")
    return RUNNERS[max(fitting, key=len)]


def run_case(path: Path, implementation: Implementation = "auto") -> CaseResult:
    """Run one case; whatever goes wrong in it is its result."""
    started = time.perf_counter()
    kind, measured, rest, error = "", [], [], ""
    try:
        case = read_case(path)
        kind = case.kind
        runner = runner_of(kind)
        measured = runner.run(case, implementation)
        rest = not_compared(case, measured, runner)
    except CaseError as problem:
        error = f"{path}: {problem}"
    except Exception as problem:  # a broken case must not hide the others, whatever it breaks
        error = f"{path}: {type(problem).__name__}: {problem}"
    return CaseResult(path, kind, tuple(measured), tuple(rest), error, time.perf_counter() - started)


def not_compared(case: Case, measured: list[Measured], runner: Runner) -> list[str]:
    """Recorded tensors that are neither inputs nor part of what was measured."""
    known = {m.quantity for m in measured} | set(runner.inputs)
    return [name for name in case.tensors if name not in known and base_of(name) not in known]
