"""Blocks of the pages are found, and those that are not run say why; needs nothing and takes no time."""

from __future__ import annotations

import pytest

from tests.docs.pages import ROOT, RUN, all_blocks, blocks, pages, problems
from tests.docs.reader import command, read

FENCE = "`" * 3
TAGGED = (
    f"x\n\n<!-- not run: needs Slurm -->\nOn a cluster (not run by our tests: Slurm):\n\n{FENCE}sh\nsrun\n{FENCE}\n"
)


def test_every_block_says_what_it_is_and_every_tag_is_known_and_visible():
    assert [problem for block in all_blocks() for problem in problems(block)] == []


def test_no_command_hides_in_an_indented_block():
    """Only fenced blocks are run, so commands must not stand in the other form of Markdown's code."""
    hidden = []
    for page in pages():
        previous = ""
        for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
            if line.startswith("    ") and not previous.strip():
                hidden.append(f"{page}: {line.strip()}")
            previous = line
    assert hidden == []


def test_a_tag_is_read_from_the_paragraph_above():
    (block,) = blocks("page.md", TAGGED)
    assert (block.line, block.language, block.code, block.need) == (6, "sh", "srun", "Slurm")
    assert problems(block) == []


def test_an_unknown_tag_is_a_problem():
    (block,) = blocks("page.md", TAGGED.replace("Slurm", "patience"))
    assert "patience" in problems(block)[0]


def test_a_tag_that_the_reader_does_not_see_is_a_problem():
    (block,) = blocks("page.md", TAGGED.replace(" (not run by our tests: Slurm)", ""))
    assert "to the reader" in problems(block)[0]


def test_a_tag_holds_for_one_block_only():
    found = blocks("page.md", TAGGED + f"\n{FENCE}sh\ntrue\n{FENCE}\n")
    assert [block.need for block in found] == ["Slurm", None]


def test_a_block_without_a_language_is_a_problem():
    (block,) = blocks("page.md", f"{FENCE}\nls\n{FENCE}\n")
    assert problems(block)


def test_a_block_that_is_never_closed_is_an_error():
    with pytest.raises(ValueError, match="never closed"):
        blocks("page.md", f"{FENCE}bash\nls\n")


def test_a_console_block_runs_what_follows_its_prompts(tmp_path):
    (block,) = blocks("page.md", f"{FENCE}console\n$ echo one\none\n{FENCE}\n")
    assert command(block, tmp_path) == "echo one"


def test_a_page_is_one_shell_and_ends_at_its_first_failure(tmp_path):
    text = "\n".join(f"{FENCE}bash\n{code}\n{FENCE}" for code in ("a=1", "test $a = 1; echo well", "false", "echo no"))
    outcome = read(blocks("page.md", text), tmp_path, {"PATH": "/usr/bin:/bin"}, 10)
    assert outcome.failed_line == 7
    assert "well" in outcome.output and "no\n" not in outcome.output


def test_a_page_that_hangs_is_a_failure(tmp_path):
    outcome = read(blocks("page.md", f"{FENCE}bash\nsleep 5\n{FENCE}"), tmp_path, {"PATH": "/usr/bin:/bin"}, 0.2)
    assert outcome.failed_line == 1


def test_most_blocks_are_run():
    runnable = [block for block in all_blocks() if block.language in RUN]
    assert sum(block.need is None for block in runnable) > len(runnable) / 2
