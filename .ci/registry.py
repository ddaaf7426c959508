"""What the Comfy Registry asks of a pack: `comfy node validate` without warnings, and a scan without new findings.

python registry.py FOLDER_WITH_THE_TOOLS, in the repository's root
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from reviewed_findings import review_of

VALID = "All validation checks passed successfully"


def main() -> int:
    """0 if all is well."""
    tools = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        published = Path(folder) / "threedpsp"
        export(published)
        return validate(tools, published) + scan(tools, published)


def export(target: Path) -> None:
    """Copies what `comfy node publish` takes: the files that git knows, without those of .comfyignore."""
    left_out = set(_git("ls-files", "-z", "--cached", "--ignored", "--exclude-from=.comfyignore"))
    for name in _git("ls-files", "-z"):
        if name not in left_out and Path(name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, target / name)


def validate(tools: Path, published: Path) -> int:
    """The registry's own check; a warning counts as a failure."""
    command = [tools / "comfy", "--skip-prompt", "--no-enable-telemetry", "node", "validate"]
    ran = subprocess.run(command, cwd=published, capture_output=True, text=True)
    said = ran.stdout + ran.stderr
    failed = ran.returncode != 0 or VALID not in said or "warning" in said.lower()
    print(f"comfy node validate: {'FAILED' if failed else 'passed, no warnings'}")
    if failed:
        print(said)
    return int(failed)


def scan(tools: Path, published: Path) -> int:
    """nodesafe's findings, each of which must have been looked at."""
    command = [tools / "nodesafe", "scan", ".", "--format", "json", "--fail-on", "none"]
    ran = subprocess.run(command, cwd=published, check=True, capture_output=True, text=True)
    report = json.loads(ran.stdout)
    new = []
    known: Counter[str] = Counter()
    for finding in report["findings"]:
        review = review_of(finding, published)
        if review is None:
            new.append(finding)
        else:
            known[f"{review.title}: {review.reason}"] += 1
    verdict = f"nodesafe's own verdict is {report['verdict']['label']}, {report['recommendation']}"
    print(f"{verdict}; with what a person has looked at:")
    print(f"nodesafe scan: {len(new)} new findings, {known.total()} reviewed ones:")
    for words, count in known.most_common():
        print(f"  {count:4} {words}")
    for finding in new:
        print(f"NEW [{finding['severity']}] {finding['title']} at {finding['file']}:{finding['line']}")
        print(f"    {finding['snippet']}")
        if "high-entropy" in finding["title"]:
            print("    Shorten this text, or use plainer words: fewer symbols, digits and capitals.")
    return int(bool(new))


def _git(*arguments: str) -> list[str]:
    listed = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout
    return list(filter(None, listed.split("\0")))


if __name__ == "__main__":
    sys.exit(main())
