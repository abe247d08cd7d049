"""``zmount check`` as an administrator calls it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from zmount.cli.app import main

CLEAN = "directory /srv/zope\n<zeo zeo/>\n<storage x/>\n<instance pub>\nroot x\n</instance>\n"
DOUBTFUL = CLEAN + "<client>\ndrop-cache-rather-verify on\n</client>\n"
WRONG = DOUBTFUL + "usr zope\nmanager initd\n"


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A function that checks a text in the file zmount.conf of the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZMOUNT_CONF", raising=False)

    def check(text: str, *options: str) -> Result:
        Path("zmount.conf").write_text(text)
        return CliRunner().invoke(main, ["check", *options], catch_exceptions=False)

    return check


@pytest.mark.parametrize(("text", "status"), [(CLEAN, 0), (DOUBTFUL, 1), (WRONG, 2)])
def test_the_exit_status_says_how_bad_it_is(check, text, status):
    assert check(text).exit_code == status
    assert check(text, "--json").exit_code == status


def test_nothing_to_say_is_one_line(check):
    assert check(CLEAN).output == "zmount.conf: nothing to say\n"


def test_each_finding_is_a_block_and_the_last_line_counts_them(check):
    assert check(WRONG).output == (
        "zmount.conf:8: warning: instance pub: drop-cache-rather-verify [drop-cache-ignored]\n"
        "    why: ZEO 6 ignores it, and a cache that should be dropped is not\n"
        "    try: leave it out; do without cache-path and client where it matters\n"
        "\n"
        "zmount.conf:10: error: usr is not known in the file [unknown]\n"
        "    did you mean user?\n"
        "\n"
        "zmount.conf:11: error: manager initd [wrong-type]\n"
        "    why: one of zdaemon, systemd, supervisor is expected\n"
        "\n"
        "2 errors, 1 warning in zmount.conf\n"
    )


def test_one_finding_is_counted_in_the_singular(check):
    assert check(DOUBTFUL).output.splitlines()[-1] == "1 warning in zmount.conf"


def test_json_has_every_finding_and_a_summary(check, tmp_path):
    report = json.loads(check(WRONG, "--json").output)
    file = str(tmp_path / "zmount.conf")
    assert (report["file"], report["errors"], report["warnings"]) == (file, 2, 1)
    assert report["findings"][1] == {
        "severity": "error",
        "rule": "unknown",
        "file": file,
        "line": 10,
        "what": "usr is not known in the file",
        "why": "",
        "hint": "did you mean user?",
    }


def test_json_of_a_clean_file_has_no_findings(check):
    report = json.loads(check(CLEAN, "--json").output)
    assert (report["findings"], report["errors"], report["warnings"]) == ([], 0, 0)


def test_a_finding_in_an_included_file_names_that_file(check, tmp_path):
    (tmp_path / "more.conf").write_text("\nusr zope\n")
    assert f"{tmp_path}/more.conf:2: error:" in check(CLEAN + "%include more.conf\n").output


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfe", "not UTF-8 text"),
        (b"lorem ipsum\n" * 50, "this is no zmount.conf"),
        (b"", "describes no ZEO server and no instance"),
        (b"%include zmount.conf\n<instance a/>\n", "includes itself"),
        (b"%include missing.conf\n<instance a/>\n", "No such file"),
    ],
)
def test_a_file_that_is_none_is_one_clear_finding(check, tmp_path, content, expected):
    check(CLEAN)
    (tmp_path / "zmount.conf").write_bytes(content)
    result = CliRunner().invoke(main, ["check"], catch_exceptions=False)
    assert result.exit_code == 2
    assert expected in result.output
    assert result.output.endswith("1 error in zmount.conf\n")


def test_a_directory_for_a_file_is_one_clear_finding(tmp_path):
    result = CliRunner().invoke(main, ["-f", str(tmp_path), "check"], catch_exceptions=False)
    assert (result.exit_code, result.output) == (
        2,
        f"{tmp_path}: error: it cannot be read: Is a directory [unreadable]\n\n"
        f"1 error in {tmp_path}\n",
    )


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zmount", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_file_that_is_not_there_is_said_on_stderr(tmp_path):
    result = run("-f", str(tmp_path / "nothing.conf"), "check")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.splitlines()[0].endswith("nothing.conf: there is no such file")


def on_a_terminal(path: Path, **environment: str) -> bytes:
    """Return what ``zmount check`` of PATH prints on a terminal."""
    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-m", "zmount", "-f", str(path), "check"]
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": "200", **environment}
    child = subprocess.Popen(arguments, stdout=theirs, stderr=theirs, env=variables)
    os.close(theirs)
    printed = b""
    try:
        while True:
            try:
                printed += (piece := os.read(ours, 10_000))
            except OSError:  # Linux' way to say that the other side closed
                break
            if not piece:
                break
    finally:
        os.close(ours)
        child.wait(timeout=60)
    return printed


def test_severities_have_a_colour_on_a_terminal_only(tmp_path):
    path = tmp_path / "zmount.conf"
    path.write_text(WRONG)
    assert b"\x1b[31merror: " in on_a_terminal(path, NO_COLOR="")
    assert b"\x1b[" not in on_a_terminal(path, NO_COLOR="1")
    assert "\x1b[" not in run("-f", str(path), "check").stdout


def test_brackets_in_a_file_are_no_markup(check):
    assert "error: [bold]x[/bold] [syntax]" in check(CLEAN + "[bold]x[/bold] 1\n").output
