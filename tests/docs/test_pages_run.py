"""Every command shown in the documentation prints what the documentation shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from docs_console import Reader, commands, matches

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(
    path.relative_to(ROOT)
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if "```console" in path.read_text()
)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_shows_what_really_happens(page, short_directory):
    reader = Reader(short_directory)
    try:
        reader.follow((ROOT / page).read_text())
    finally:
        subprocess.run(
            ["bash", "-c", "test ! -f zmount.conf || zmount stop --force"],
            cwd=short_directory,
            env=reader.environment(),
            capture_output=True,
            timeout=120,
            check=False,
        )


def test_the_tutorial_is_among_them():
    assert Path("docs/tutorial.md") in PAGES


def test_output_that_differs_in_words_is_noticed():
    assert matches("pub answers after 0.3 s", "pub answers after 12.1 s")
    assert matches("a\nb\nc\n", "a\n...\nc")
    assert not matches("pub answers", "pub is silent")
    assert not matches("404", "200")
    assert not matches("a\nb", "a")
    assert not matches("a", "a\nb")


def test_a_block_is_split_into_commands_and_their_output():
    assert commands("$ one\nx\ny\n$ two\n") == [("one", "x\ny\n"), ("two", "")]
