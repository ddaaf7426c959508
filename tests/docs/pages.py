"""The pages a reader sees, and the fenced blocks in them: commands, Python, and what cannot run here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = r"(?P<indent> *)```(?P<language>[\w+-]*)\s*"
TAG = r"<!-- not run: needs (?P<need>.+?) -->"

SHELL = {"bash", "sh", "console"}
RUN = {*SHELL, "python"}
SHOWN = {"text", "json", "bibtex", "yaml"}
"""Languages of blocks that are looked at, not run."""

NEEDS = {
    "Slurm": "a cluster with the scheduler Slurm",
    "a GPU": "an NVIDIA GPU",
    "several machines": "two machines that reach each other",
    "person masks": "masks of people on photos, which an environment of its own makes",
    "official weights": "files that their owners alone may hand out",
    "large data sets": "tens of gigabytes under a licence of their own",
    "photos of people": "photos that are no part of this project",
    "ComfyUI": "a ComfyUI installation; the ComfyUI tests make one and start the pack in it",
    "conda": "conda, which the test machine does not have",
    "macOS": "a Mac",
    "Windows": "Windows",
    "root": "the rights to install system packages; .ci/run installs the same ones",
    "gigabytes of downloads": "a package index that is asked for all of PyTorch again",
    "an address": "an address that stands for your own",
    "a browser": "somebody who closes the page again",
    "its own test": "a step of .ci/run that runs the same command",
    "a long time": "more minutes than all pages have together; a small form of it stands beside it and runs",
    "the published code": "a checkout of the published 3DpSp",
}
"""Every reason for which a block may be left out; a tag with another one fails."""


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    """The page's path in the repository."""
    line: int
    """Of its opening fence, from 1."""
    language: str
    code: str
    need: str | None
    """What it needs that a test cannot have, by its tag; None: it runs."""
    visible: bool
    """A line above the block says to the reader too that it is not run."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages(root: Path = ROOT) -> list[str]:
    """README first, then docs/, then the notebooks' page."""
    return ["README.md", *(f"docs/{p.name}" for p in sorted((root / "docs").glob("*.md"))), "notebooks/README.md"]


def blocks(page: str, text: str) -> list[Block]:
    """The fenced blocks of a page in their order."""
    found: list[Block] = []
    lines = text.splitlines()
    opened: tuple[int, str, str] | None = None
    for number, line in enumerate(lines, start=1):
        fence = re.fullmatch(FENCE, line)
        if fence and opened is None:
            opened = number, fence["language"], fence["indent"]
        elif fence and opened is not None and not fence["language"]:
            start, language, indent = opened
            code = "\n".join(body.removeprefix(indent) for body in lines[start : number - 1])
            need, visible = tag_above(lines[: start - 1])
            found.append(Block(page, start, language, code, need, visible))
            opened = None
    if opened is not None:
        raise ValueError(f"{page}:{opened[0]}: this block is never closed.")
    return found


def tag_above(lines: list[str]) -> tuple[str | None, bool]:
    """What the tag in the paragraph right above a block says, and whether that paragraph says it to the reader too."""
    paragraph: list[str] = []
    for line in reversed(lines):
        if not line.strip() and any(part.strip() for part in paragraph):
            break
        paragraph.append(line.strip())
    need = next((match["need"] for match in (re.fullmatch(TAG, line) for line in paragraph) if match), None)
    words = " ".join(reversed(paragraph))
    return need, any(f"(not run by our tests: {need}{end}" in words for end in ");")


def all_blocks(root: Path = ROOT) -> list[Block]:
    """Those of every page."""
    return [block for page in pages(root) for block in blocks(page, (root / page).read_text(encoding="utf-8"))]


def problems(block: Block) -> list[str]:
    """What is wrong with a block before anything runs."""
    if block.language not in RUN | SHOWN:
        return [f"{block}: say what the block is: one of {sorted(RUN | SHOWN)}, not '{block.language}'."]
    if block.need is None:
        return []
    if block.need not in NEEDS:
        return [f"{block}: 'needs {block.need}' is no known reason; known are: {', '.join(NEEDS)}."]
    if not block.visible:
        return [f"{block}: its paragraph must also say '(not run by our tests: {block.need})' to the reader."]
    return []
