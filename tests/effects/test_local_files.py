"""Small questions about real files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from zmount.effects.local_files import why_not_runnable


@pytest.fixture
def script(tmp_path: Path):
    """A function that writes an executable file, and returns its path."""

    def script(text: str) -> Path:
        path = tmp_path / "runzeo"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        path.chmod(0o755)
        return path

    return script


@pytest.mark.parametrize(
    "text", [f"#!{sys.executable}\n", "#! /bin/sh -e\n", "#!/usr/bin/env python3\n", "\x7fELF", ""]
)
def test_nothing_is_in_the_way_of_what_can_run(script, text):
    assert why_not_runnable(str(script(text))) == ""


def test_an_interpreter_that_is_gone_is_named(script):
    path = script("#!/opt/zope/venv/bin/python3.9 -I\nimport sys\n")

    assert why_not_runnable(str(path)) == (
        f"{path} needs /opt/zope/venv/bin/python3.9, which cannot be run"
    )


def test_an_interpreter_that_is_a_dangling_link_is_gone(script, tmp_path):
    (tmp_path / "python").symlink_to("/usr/bin/python2.3")

    assert "python, which cannot be run" in why_not_runnable(str(script(f"#!{tmp_path}/python\n")))


def test_what_is_no_program_is_named(script, tmp_path):
    path = script("#!/bin/sh\n")
    path.chmod(0o644)

    for wrong in (path, tmp_path, tmp_path / "none"):
        assert why_not_runnable(str(wrong)) == f"there is no program {wrong}"
