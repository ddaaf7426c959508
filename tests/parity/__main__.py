"""`python -m tests.parity DIR`: every golden case of a folder against ours."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import threedpsp.device  # noqa: F401 - makes the CPU's arithmetic repeatable, before any is done

from .case import CaseError, find_cases, read_case
from .run import CaseResult, run_case

FAILED, NOTHING_TO_RUN = 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run the cases; 0 if all passed, 1 if any failed, 2 if there was nothing to run."""
    options = _parser().parse_args(arguments)
    if not options.folder.is_dir():
        print(f"{options.folder} is not a folder.", file=sys.stderr)
        return NOTHING_TO_RUN
    paths = [path for path in find_cases(options.folder) if not options.kind or _is_kind(path, options.kind)]
    if not paths:
        which = f" of kind {', '.join(options.kind)}" if options.kind else ""
        print(f"No cases{which} (*.safetensors) in {options.folder}.", file=sys.stderr)
        return NOTHING_TO_RUN
    results: list[CaseResult] = []
    for path in paths:
        results.append(run_case(path, options.implementation))
        if not options.json:
            print(results[-1], flush=True)
    failed = [result for result in results if not result.passed]
    if options.json:
        print(json.dumps([result.to_dict() for result in results], indent=2))
    else:
        print(f"{len(results) - len(failed)} passed, {len(failed)} failed; in brackets, what is allowed")
    return FAILED if failed else 0


def _is_kind(path: Path, kinds: list[str]) -> bool:
    """Whether a case's kind is, or begins with, one of these; an unreadable file is kept, so that it is named."""
    try:
        kind = read_case(path).kind
    except CaseError:
        return True
    return any(kind == wanted or kind.startswith(f"{wanted}_") for wanted in kinds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.parity",
        description="Runs every recorded case (*.safetensors) of a folder and compares ours with what was recorded.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="where the cases and their .weights.json are")
    parser.add_argument("--kind", action="append", help="only this kind, for instance eg3d; may be given again")
    parser.add_argument(
        "--implementation",
        choices=["auto", "reference", "cpu", "cuda"],
        default="auto",
        help="of the ray kernels; a named one that cannot run fails",
    )
    parser.add_argument("--json", action="store_true", help="all results as JSON, at the end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
